"""What torch.compile did."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.spans import SpanEvidence
from slowprobe.run.compile_record import Compilations
from slowprobe.run.schema import End


class CompiledEvidence(SpanEvidence):
    """What torch.compile did."""

    @cached_property
    def compilations(self) -> Compilations | None:
        """What it noted itself; None where nothing was compiled."""
        noted = self.run.last(Compilations)
        if noted is None and self.compiles:
            ended = "its notes cannot be read" if self.run.last(End) else "the run was killed before they were read"
            raise EvidenceMissing(f"torch.compile was used, but {ended}")
        return noted

    @cached_property
    def compile_loop_s(self) -> float:
        """Seconds inside the training loop that compilations took."""
        return sum(facts.loop_s for facts in self.compiles)

"""What torch.compile did."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.step_tensors import StepTensorEvidence
from slowprobe.run.compile_record import Compilations
from slowprobe.run.schema import End
from slowprobe.timeline.compiled_pieces import CompiledPieces, compiled_pieces


class CompiledEvidence(StepTensorEvidence):
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

    @cached_property
    def compile_collections(self) -> dict[str, float]:
        """Seconds of garbage collections inside these compilations, by scope: what they make is soon garbage."""
        own_s = sum(facts.seconds for facts in self.compiles)
        nested_s = sum(facts.total_s - facts.seconds for facts in self.compiles)
        found: dict[str, float] = {}
        for scope in ("step", "off_step"):
            part = sum(facts.scopes.get(scope, 0.0) for facts in self.compiles) / own_s if own_s else 0.0
            found[scope] = min(nested_s * part, self.partition.bucket_s("gc", scope))
        return found

    @cached_property
    def compiled_pieces(self) -> CompiledPieces | None:
        """What the pieces of compiled code cost to enter and leave; None where no profiled step ran any."""
        try:
            return compiled_pieces(self.clean_ops)
        except EvidenceMissing:
            return None

    @cached_property
    def compiled_lines(self) -> set[tuple[str, int]]:
        """File and line where functions begin that were compiled: stack samples in compiled code name these."""
        noted = self.run.last(Compilations)
        return {(row[2], row[3]) for row in noted.rows if row[2]} if noted is not None else set()

"""Models that are trained on several processes, and the exchange of their gradients."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.windows import WindowEvidence
from slowprobe.errors import SlowprobeError
from slowprobe.run.replica_record import Replicas
from slowprobe.timeline.exchanges import Accumulation, Exchange, accumulation, exchange


class ReplicaEvidence(WindowEvidence):
    """Models that are trained on several processes, and the exchange of their gradients."""

    @cached_property
    def replicas(self) -> Replicas | None:
        """Models in DistributedDataParallel and its settings; None where there were none."""
        return self.run.last(Replicas)

    @cached_property
    def accumulation(self) -> Accumulation:
        """Backward passes that only add to the gradients of the next one."""
        return accumulation(self.recording)

    @cached_property
    def exchange(self) -> Exchange | None:
        """What the exchange of gradients takes of a profiled step on the CPU; None where none was seen."""
        clean = self.windows.get("clean")
        if clean is None or clean.path is None or not (self.run.folder / clean.path).is_file():
            raise EvidenceMissing("no profiler window was recorded")
        known = self.replicas
        a_pass = known.buckets + (known.find_unused and not known.static_graph) if known is not None else 1
        try:
            return exchange(self.run.folder / clean.path, a_pass)
        except SlowprobeError as error:
            raise EvidenceMissing(str(error)) from None

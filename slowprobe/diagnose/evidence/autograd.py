"""What becomes of the gradients."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.windows import WindowEvidence
from slowprobe.errors import SlowprobeError
from slowprobe.run.gradient_record import GradientUse
from slowprobe.timeline.gradient_use import NodeTimes, WastedBackward, node_times, wasted_backward
from slowprobe.timeline.tracebacks import Tracebacks, tracebacks


class AutogradEvidence(WindowEvidence):
    """What becomes of the gradients."""

    @cached_property
    def gradient_use(self) -> GradientUse:
        """Which gradients of a turn of the loop somebody used."""
        use = self.run.last(GradientUse)
        if use is None:
            raise EvidenceMissing("the gradients of no turn of the loop could be followed")
        return use

    @cached_property
    def node_times(self) -> NodeTimes:
        """What the nodes of the backward passes took in the profiled steps; empty without a profiler window."""
        clean = self.windows.get("clean")
        if clean is None or clean.path is None or not (self.run.folder / clean.path).is_file():
            return {}
        try:
            return node_times(self.run.folder / clean.path)
        except SlowprobeError:
            return {}

    @cached_property
    def wasted_backward(self) -> WastedBackward:
        """How much of the backward passes makes gradients that nobody uses."""
        return wasted_backward(self.gradient_use, self.node_times)

    @cached_property
    def tracebacks(self) -> Tracebacks | None:
        """Where anomaly detection records tracebacks; None where stack samples found too few of them."""
        return tracebacks(self.recording, self.labels, self.partition)

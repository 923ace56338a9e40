"""What matrix products and convolutions reach."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.windows import WindowEvidence
from slowprobe.errors import SlowprobeError
from slowprobe.run.kernels import Kernels
from slowprobe.timeline.kernel_work import KernelWork, kernel_work
from slowprobe.timeline.op_tree import build_tree
from slowprobe.trace.reader import read_trace


class KernelEvidence(WindowEvidence):
    """What matrix products and convolutions reach."""

    @cached_property
    def kernels(self) -> KernelWork | None:
        """Products and convolutions of a step with their rates; None where the annotated step ran none on the CPU."""
        clean, shapes = self.windows.get("clean"), self.run.last(Kernels)
        if clean is None or clean.path is None or not (self.run.folder / clean.path).is_file():
            raise EvidenceMissing("no profiler window was recorded")
        if "annotated" not in self.windows:
            raise EvidenceMissing("no step was recorded with shapes")
        if shapes is None or self.settings.get("devices"):
            return None
        try:
            work = kernel_work(shapes, build_tree(read_trace(self.run.folder / clean.path)), self.costs)
        except SlowprobeError as error:
            raise EvidenceMissing(str(error)) from None
        if work is None:
            raise EvidenceMissing("the step with shapes ran other operators than those that were timed")
        return work

"""The memory of the training process."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.recorded import RecordedRun
from slowprobe.run.schema import Resources
from slowprobe.timeline.memory_growth import MemoryGrowth, memory_growth
from slowprobe.timeline.page_faults import page_faults


class MemoryEvidence(RecordedRun):
    """The memory of the training process."""

    @cached_property
    def _steady_s(self) -> tuple[float, float]:
        """When the first and the last steady step began."""
        starts = self.steps.start_s[self.steps.steady]
        if not len(starts):
            raise EvidenceMissing("no steady step was recorded")
        return float(starts[0]), float(starts[-1])

    @cached_property
    def memory_growth(self) -> MemoryGrowth:
        """How it grows from the first step to the last, those of the warm-up left out."""
        found = memory_growth(self.run.of(Resources), *self._steady_s)
        if found is None:
            raise EvidenceMissing("the loop is too short to see memory grow")
        return found

    @cached_property
    def page_faults(self) -> dict[str, float]:
        """First touches of memory, pages a second of the loop, by kind of span."""
        found = page_faults(self.run.of(Resources), *self._steady_s)
        if found is None:
            raise EvidenceMissing("page faults were not counted, or the loop is too short")
        return found

"""What shows only over the whole run: steps that get slower or stand out, the start-up."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.recorded import RecordedRun
from slowprobe.timeline.drift import Drift, LineGrowth, drift, line_growth
from slowprobe.timeline.outliers import Outliers, find_outliers
from slowprobe.timeline.startup import StartUp, start_up


class RunLevelEvidence(RecordedRun):
    """What shows only over the whole run: steps that get slower or stand out, the start-up."""

    @cached_property
    def drift(self) -> Drift | None:
        """The trend of the step time; None where there are too few steps."""
        return drift(self.recording, self.labels, self.steps)

    @cached_property
    def line_growth(self) -> list[LineGrowth]:
        """The user's lines that take more of a late step than of an early one, most first."""
        return line_growth(self.recording, self.labels, self.partition, self.steps)

    @cached_property
    def outliers(self) -> Outliers | None:
        """Steps that take far longer than the others, by what they spend it on; None where there are too few steps."""
        return find_outliers(self.steps, self.labels)

    @cached_property
    def start_up(self) -> StartUp:
        """What passes before training runs at its speed, by cause."""
        return start_up(self.recording, self.labels, self.partition, self.steps)

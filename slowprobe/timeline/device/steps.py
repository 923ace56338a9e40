"""The steps of a trace, by the best marks that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.trace.reader import Ints, Trace

StepBasis = Literal["slowprobe.step", "ProfilerStep", "optimizer", "dataloader", "none"]


@dataclass(frozen=True, slots=True)
class TraceSteps:
    """Whole steps in order: [start, end) on the host's clock."""

    start_ns: Ints
    end_ns: Ints
    number: Ints
    """As the trace numbers them; from 0 where it does not."""
    basis: StepBasis
    left_out: tuple[str, ...]
    """What was left out and why, one sentence each."""

    def __len__(self) -> int:
        return len(self.start_ns)


def trace_steps(trace: Trace, rows: DeviceRows) -> TraceSteps:
    """Finds the steps; none where nothing marks them."""
    raise NotImplementedError

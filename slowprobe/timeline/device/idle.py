"""Why the device was idle: what drained its queue, and what the launching threads were doing."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.rows import DeviceRows, Int8s
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.trace.reader import Ints, Trace

IDLE_CAUSES = ("data", "python", "launch", "queue_full", "allocator", "off_step", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleGaps:
    """Stretches in which no stream of the device was busy, in order of time, between its first row and its last."""

    start_ns: Ints
    end_ns: Ints
    cause: Int8s
    """The cause of most of the gap; into `IDLE_CAUSES`."""
    sync_row: Ints
    """Row of the synchronising call in which the host waited while the queue ran dry; `MISSING` where none did."""
    site: tuple[str, ...]
    """Of each gap: the Python line or operator at work for the longest part of it; "" where nothing is known."""
    queued_ns: Ints
    """Of each gap: while something launched had not started, so that the host was not what was waited for."""
    by_cause: dict[str, int]
    """ns, by overlap: adds up to all gaps exactly."""
    drained_ns: int
    """All gaps with a synchronising call."""
    segment_start_ns: Ints
    """The gaps cut up by cause: disjoint, in order, covering exactly the gaps."""
    segment_end_ns: Ints
    segment_cause: Int8s

    def __len__(self) -> int:
        return len(self.start_ns)

    def between(self, start_ns: int, end_ns: int) -> dict[str, int]:
        """Idle ns by cause within a stretch."""
        raise NotImplementedError


def idle_gaps(trace: Trace, rows: DeviceRows, steps: TraceSteps) -> IdleGaps:
    """All gaps of the device that `rows` are of."""
    raise NotImplementedError

"""Why the device was idle: what drained its queue, and what the launching threads were doing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from slowprobe.timeline.device.claims import CAUSES, LAUNCH, OTHER, idle_claims, launching_threads, queued
from slowprobe.timeline.device.drains import draining_calls, waiting_calls
from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.intervals import Cover, Int8s, cut_by_claim
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.trace.reader import Ints, Trace

IDLE_CAUSES = CAUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleGaps:
    """Stretches in which no stream of the device was busy, in order of time, between its first row and its last."""

    start_ns: Ints
    end_ns: Ints
    cause: Int8s
    """The cause of most of the gap; into `IDLE_CAUSES`."""
    sync_row: Ints
    """Row of the synchronising call in which the host waited while the queue ran dry; `MISSING` where none did."""
    sync_calls: Ints
    """Rows of all synchronising calls of the trace, whether the queue ran dry in them or not."""
    site: tuple[str, ...]
    """Of each gap: the Python function, operator or annotation at work in the middle of its longest segment of that
    cause, or around the launch that it waited for; else `before OPERATOR` with what ended the gap, or ""."""
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
    reach: tuple[Cover, ...] = field(repr=False)
    """By cause, all idle time from the first step or row to the last: more than the gaps where steps reach further."""

    def __len__(self) -> int:
        return len(self.start_ns)

    @property
    def total_ns(self) -> int:
        """All gaps together."""
        return int((self.end_ns - self.start_ns).sum())

    def between(self, start_ns: int, end_ns: int) -> dict[str, int]:
        """Idle ns by cause within a stretch; causes without any are left out.

        Within a step it adds up to the idle time of the step's partition.
        """
        parts = zip(IDLE_CAUSES, (cover.between(start_ns, end_ns) for cover in self.reach), strict=True)
        return {cause: ns for cause, ns in parts if ns}

    def drained_between(self, start_ns: int, end_ns: int) -> int:
        """Idle ns behind synchronising calls within a stretch."""
        drained = self.sync_row >= 0
        return Cover(self.start_ns[drained], self.end_ns[drained]).between(start_ns, end_ns)


def idle_gaps(trace: Trace, rows: DeviceRows, steps: TraceSteps, host: Host | None = None) -> IdleGaps:
    """All gaps of the device that `rows` are of.

    Each ns goes to the first of these that holds: it lies in no step (`off_step`, where steps have marks of their own);
    a launch call was blocked by a full queue; something launched had not started yet (`launch`); a launching thread was
    waiting for data, in the allocator, in another call of the runtime (`launch`), or in a synchronising call whose wait
    was over (`other`); launching threads were at work (`python`: Python and the framework between launches).
    """
    host = host or Host(trace)
    busy = Cover(rows.start_ns, rows.end_ns)
    first, last = _bounds(rows.start_ns, rows.end_ns)
    start, end = busy.outside(first, last)
    reach = _bounds(np.append(steps.start_ns, first), np.append(steps.end_ns, last))
    launching = launching_threads(host, rows)
    waiting = queued(host, rows, launching)
    claims = idle_claims(host, rows, steps, waiting, launching, reach)
    every = cut_by_claim(*busy.outside(*reach), claims, OTHER)
    inside = (every[0] >= first) & (every[1] <= last)
    segments = every[0][inside], every[1][inside], every[2][inside]
    seg_start, seg_end, cause = segments
    gap = np.searchsorted(start, seg_start, side="right") - 1
    held = np.bincount(gap * len(IDLE_CAUSES) + cause, seg_end - seg_start, len(start) * len(IDLE_CAUSES))
    dominant = held.reshape(len(start), len(IDLE_CAUSES)).argmax(axis=1).astype(np.int8)
    calls = waiting_calls(host, rows)
    sync_row = draining_calls(host, calls, launching, start, end, waiting)
    by_cause = np.zeros(len(IDLE_CAUSES), dtype=np.int64)
    np.add.at(by_cause, cause, seg_end - seg_start)
    return IdleGaps(
        start_ns=start,
        end_ns=end,
        cause=dominant,
        sync_row=sync_row,
        sync_calls=np.flatnonzero(calls),
        site=_sites(host, rows, launching, start, end, dominant, segments, gap),
        queued_ns=waiting.within(start, end),
        by_cause=dict(zip(IDLE_CAUSES, by_cause.tolist(), strict=True)),
        drained_ns=int((end - start)[sync_row >= 0].sum()),
        segment_start_ns=seg_start,
        segment_end_ns=seg_end,
        segment_cause=cause,
        reach=tuple(Cover(every[0][every[2] == at], every[1][every[2] == at]) for at in range(len(IDLE_CAUSES))),
    )


def _bounds(start: Ints, end: Ints) -> tuple[int, int]:
    return (int(start.min()), int(end.max())) if len(start) else (0, 0)


def _sites(
    host: Host,
    rows: DeviceRows,
    launching: Ints,
    start: Ints,
    end: Ints,
    dominant: Int8s,
    segments: tuple[Ints, Ints, Int8s],
    gap: Ints,
) -> tuple[str, ...]:
    if not len(start) or not len(launching):
        return ("",) * len(start)
    seg_start, seg_end, cause = segments
    fits = np.flatnonzero(cause == dominant[gap])
    longest = fits[np.lexsort((seg_end[fits] - seg_start[fits], gap[fits]))]
    longest = longest[np.append(np.diff(gap[longest]) > 0, True)]  # one segment a gap, in order of the gaps
    middle = (seg_start[longest] + seg_end[longest]) // 2
    ends_gap = np.searchsorted(rows.start_ns, end, side="left")
    launch = rows.launch[ends_gap]
    thread = np.where(launch >= 0, host.threads[np.maximum(launch, 0)], launching[0])
    launched = host.around(launch)
    # On its way to the device it is the launch that counts, not what the host has gone on to.
    around = np.where((dominant == LAUNCH) & (launch >= 0), launched, host.stack.at(thread, middle))
    after = host.operator_names(launched)
    # Where nothing runs, Python is between operators: the annotation it is in, or else what it gets to next.
    labels = zip(host.lines(around), host.operator_names(around), host.annotation_names(around), after, strict=True)
    return tuple(
        line or operator or annotation or (f"before {following}" if following else "")
        for line, operator, annotation, following in labels
    )

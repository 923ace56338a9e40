"""Why the device was idle: what drained its queue, and what the launching threads were doing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.intervals import Cover
from slowprobe.timeline.device.nesting import Nesting
from slowprobe.timeline.device.queue import LaunchQueue, launch_queue, pending
from slowprobe.timeline.device.rows import COPY, DeviceRows, Int8s
from slowprobe.timeline.device.steps import MARKED, TraceSteps
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

IDLE_CAUSES = ("data", "python", "launch", "queue_full", "allocator", "off_step", "other")
DATA, PYTHON, LAUNCH, QUEUE_FULL, ALLOCATOR, OFF_STEP, OTHER = range(7)

FULL_DEPTH = 512
"""Launches waiting from which the queue may be full: the driver blocks at about 1,024 of a stream."""
BLOCKED_NS = 20_000
"""A launch call is blocked, not slow, from this length on; one alone takes a few µs."""


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
    """Of each gap: the Python line or operator at work in the middle of its longest segment of that cause, or
    `before OPERATOR` with what ended the gap; "" where nothing is known."""
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
    _covers: list[Cover] = field(default_factory=list, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.start_ns)

    @property
    def total_ns(self) -> int:
        """All gaps together."""
        return int((self.end_ns - self.start_ns).sum())

    def between(self, start_ns: int, end_ns: int) -> dict[str, int]:
        """Idle ns by cause within a stretch; causes without any are left out."""
        if not self._covers:
            causes = (self.segment_cause == cause for cause in range(len(IDLE_CAUSES)))
            self._covers.extend(Cover(self.segment_start_ns[at], self.segment_end_ns[at]) for at in causes)
        parts = zip(IDLE_CAUSES, (cover.between(start_ns, end_ns) for cover in self._covers), strict=True)
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
    start, end = busy.end[:-1], busy.start[1:]
    queue, waiting = launch_queue(trace, rows), pending(trace, rows)
    launching = launching_threads(host, rows)
    claims = _claims(host, rows, steps, queue, waiting, launching)
    segments = cut_by_claim(start, end, claims, OTHER)
    seg_start, seg_end, cause = segments
    gap = np.searchsorted(start, seg_start, side="right") - 1
    held = np.bincount(gap * len(IDLE_CAUSES) + cause, seg_end - seg_start, len(start) * len(IDLE_CAUSES))
    dominant = held.reshape(len(start), len(IDLE_CAUSES)).argmax(axis=1).astype(np.int8)
    sync_row = _drains(host, rows, launching, start, waiting)
    by_cause = np.zeros(len(IDLE_CAUSES), dtype=np.int64)
    np.add.at(by_cause, cause, seg_end - seg_start)
    return IdleGaps(
        start_ns=start,
        end_ns=end,
        cause=dominant,
        sync_row=sync_row,
        site=_sites(host, rows, launching, start, end, dominant, segments, gap),
        queued_ns=waiting.within(start, end),
        by_cause=dict(zip(IDLE_CAUSES, by_cause.tolist(), strict=True)),
        drained_ns=int((end - start)[sync_row >= 0].sum()),
        segment_start_ns=seg_start,
        segment_end_ns=seg_end,
        segment_cause=cause,
    )


def launching_threads(host: Host, rows: DeviceRows) -> Ints:
    """Threads that launched these rows, the busiest first; without launches, that of the most operators."""
    calls = rows.launch[rows.launch >= 0]
    threads = host.threads[calls] if len(calls) else host.threads[host.operators]
    ids, counts = np.unique(threads, return_counts=True)
    return ids[np.argsort(-counts, kind="stable")][: None if len(calls) else 1]


def cut_by_claim(start: Ints, end: Ints, claims: list[tuple[int, Cover]], rest: int) -> tuple[Ints, Ints, Int8s]:
    """Disjoint stretches cut up so that each piece belongs to the first claim that covers it, or to `rest`.

    Returns start, end and claim of the pieces, in order; neighbours of one claim are one piece.
    """
    inside = Cover(start, end)
    edges = [start, end]
    for _, cover in claims:
        for marks in (cover.start, cover.end):
            edges.append(marks[inside.contains(marks)])
    marks = np.unique(np.concatenate(edges))
    left, right = marks[:-1], marks[1:]
    within = inside.contains(left)
    left, right = left[within], right[within]
    claim = np.full(len(left), rest, dtype=np.int8)
    for number, cover in reversed(claims):
        claim[cover.contains(left)] = number
    new = np.ones(len(left), dtype=np.bool_)
    new[1:] = (left[1:] != right[:-1]) | (claim[1:] != claim[:-1])
    last = np.append(new[1:], True)[: len(left)]
    return left[new], right[last], claim[new]


def _claims(
    host: Host, rows: DeviceRows, steps: TraceSteps, queue: LaunchQueue, waiting: Cover, launching: Ints
) -> list[tuple[int, Cover]]:
    trace = host.trace
    theirs = np.isin(host.threads, launching)
    waits_for_data = host.data & (theirs | np.isin(host.threads, _step_threads(host, steps)))
    referenced = np.zeros(len(trace), dtype=np.bool_)
    referenced[rows.launch[rows.launch >= 0]] = True
    launches = theirs & (host.launches | referenced)
    blocked = np.flatnonzero(launches & (trace.duration_ns >= BLOCKED_NS))
    full = blocked[queue.depth_at(trace.start_ns[blocked]) >= FULL_DEPTH]
    syncs = theirs & host.syncs & ~referenced
    allocator = theirs & host.allocator
    runtime = theirs & host.runtime & ~syncs & ~allocator
    at_work = np.flatnonzero(theirs & (host.runtime | host.operators | host.annotations | host.python))
    begin, finish = (
        (trace.start_ns[at_work[:1]], trace.end_ns[at_work].max(keepdims=True)) if len(at_work) else ([], [])
    )

    def of(mask: Bools | Ints) -> Cover:
        return Cover(trace.start_ns[mask], trace.end_ns[mask])

    claims = [
        (QUEUE_FULL, of(full)),
        (LAUNCH, waiting),
        (DATA, of(waits_for_data)),
        (ALLOCATOR, of(allocator)),
        (LAUNCH, of(runtime)),
        (OTHER, of(syncs)),
        (PYTHON, Cover(np.asarray(begin, dtype=np.int64), np.asarray(finish, dtype=np.int64))),
    ]
    if steps.basis in MARKED and len(steps):
        span = int(rows.start_ns.min(initial=0)), int(rows.end_ns.max(initial=0))
        claims.insert(0, (OFF_STEP, Cover(*Cover(steps.start_ns, steps.end_ns).outside(*span))))
    return claims


def _step_threads(host: Host, steps: TraceSteps) -> Ints:
    """Threads with the marks of the steps: the loop's own, even where backward launches everything."""
    marks = host.annotations & np.isin(host.trace.start_ns, steps.start_ns)
    return np.unique(host.threads[marks])


def _drains(host: Host, rows: DeviceRows, launching: Ints, start: Ints, waiting: Cover) -> Ints:
    """Of each gap: the call that a launching thread was in when the last row ended, with nothing else launched."""
    trace = host.trace
    syncs = host.syncs.copy()
    copies = (rows.kind == COPY) & (rows.launch >= 0)
    call, done = rows.launch[copies], rows.end_ns[copies]
    syncs[call[trace.end_ns[call] >= done]] = True  # a copy that the host waited for, as from pageable memory
    if not syncs.any():
        syncs = host.operators & trace.matches(lambda name: name == "aten::_local_scalar_dense")
    nesting = Nesting(trace, host.threads, syncs & np.isin(host.threads, launching))
    found = np.full(len(start), MISSING, dtype=np.int64)
    for thread in launching.tolist():
        # A call that begins as the gap does drained nothing; one that returns in that instant did.
        open_row = nesting.row_of(nesting.at(np.full(len(start), thread), start - 1))
        found = np.where(found >= 0, found, open_row)
    return np.where(waiting.contains(start), MISSING, found)


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
    around = host.stack.at(thread, middle)
    after = host.operator_names(host.around(launch))
    operators = host.operator_names(around)
    return tuple(
        line or operator or (f"before {following}" if following else "")
        for line, operator, following in zip(host.lines(around), operators, after, strict=True)
    )

"""What the launching threads were doing, as claims on idle time: the first that holds is its cause."""

from __future__ import annotations

import numpy as np

from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.intervals import Cover, distinct
from slowprobe.timeline.device.queue import launch_queue, pending
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.device.steps import MARKED, TraceSteps
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

CAUSES = ("data", "python", "launch", "queue_full", "allocator", "off_step", "other")
DATA, PYTHON, LAUNCH, QUEUE_FULL, ALLOCATOR, OFF_STEP, OTHER = range(7)

FULL_DEPTH = 512
"""Launches waiting from which the queue may be full: the driver blocks at about 1,024 of a stream."""
BLOCKED_NS = 20_000
"""A launch call is blocked, not slow, from this length on; one alone takes a few µs."""


def launching_threads(host: Host, rows: DeviceRows) -> Ints:
    """Threads that launched these rows, the busiest first; without launches, that of the most operators."""
    calls = rows.launch[rows.launch >= 0]
    threads = host.threads[calls] if len(calls) else host.threads[host.operators]
    ids, counts = np.unique(threads, return_counts=True)
    return ids[np.argsort(-counts, kind="stable")][: None if len(calls) else 1]


def queued(host: Host, rows: DeviceRows, launching: Ints) -> Cover:
    """When something launched had not started yet.

    Rows whose launch is lost were waiting at least since the synchronising call in which they begin: nobody launches in
    it.
    """
    trace = host.trace
    syncs = _cover(trace, host.syncs & np.isin(host.threads, launching))
    start = rows.start_ns[(rows.launch == MISSING) & syncs.contains(rows.start_ns)]
    since = syncs.start[np.searchsorted(syncs.start, start, side="right") - 1]
    waiting = pending(trace, rows)
    return Cover(np.concatenate([waiting.start, since]), np.concatenate([waiting.end, start]))


def idle_claims(
    host: Host, rows: DeviceRows, steps: TraceSteps, waiting: Cover, launching: Ints, reach: tuple[int, int]
) -> list[tuple[int, Cover]]:
    """Causes and when each holds, those that come first first; `waiting` is when something was queued."""
    trace = host.trace
    theirs = np.isin(host.threads, launching)
    waits_for_data = host.data & (theirs | np.isin(host.threads, _step_threads(host, steps)))
    referenced = np.zeros(len(trace), dtype=np.bool_)
    referenced[rows.launch[rows.launch >= 0]] = True
    syncs = theirs & host.syncs & ~referenced
    allocator = theirs & host.allocator
    claims = [
        (QUEUE_FULL, _full_queue(host, rows, theirs & (host.launches | referenced))),
        (LAUNCH, waiting),
        (DATA, _cover(trace, waits_for_data)),
        (ALLOCATOR, _cover(trace, allocator)),
        (LAUNCH, _cover(trace, theirs & host.runtime & ~syncs & ~allocator)),
        (OTHER, _cover(trace, syncs)),
        (PYTHON, _recorded(host, theirs)),
    ]
    if steps.basis in MARKED and len(steps):
        claims.insert(0, (OFF_STEP, Cover(*Cover(steps.start_ns, steps.end_ns).outside(*reach))))
    return claims


def _cover(trace: Trace, mask: Bools | Ints) -> Cover:
    return Cover(trace.start_ns[mask], trace.ends_of(mask))


def _full_queue(host: Host, rows: DeviceRows, launches: Bools) -> Cover:
    trace = host.trace
    long = np.flatnonzero(launches & (trace.duration_ns >= BLOCKED_NS))
    return _cover(trace, long[launch_queue(trace, rows).depth_at(trace.start_ns[long]) >= FULL_DEPTH])


def _recorded(host: Host, theirs: Bools) -> Cover:
    """From the first to the last that the trace has of these threads."""
    trace = host.trace
    rows = np.flatnonzero(theirs & (host.runtime | host.operators | host.annotations | host.python))
    return Cover(trace.start_ns[rows[:1]], trace.ends_of(rows).max(initial=0, keepdims=True)[: len(rows)])


def _step_threads(host: Host, steps: TraceSteps) -> Ints:
    """Threads with the marks of the steps: the loop's own, even where backward launches everything."""
    marks = host.annotations & np.isin(host.trace.start_ns, steps.start_ns)
    return distinct(host.threads[marks])

"""Where the host waits for the device: synchronisation, copies that block, and a full launch queue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.rows import COPIES, DeviceRows
from slowprobe.timeline.graph.calls import Calls, drains
from slowprobe.timeline.graph.kinds import LAUNCH, SYNC
from slowprobe.timeline.graph.streams import CLOCKS_NS, ROUNDING_NS, Stream, Streams
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

QUEUE_LENGTH = 1023  # launches a stream holds before the next one blocks: 1,024 slots, seen on every CUDA release
_MANY = 100  # launched and not ended: a slow launch behind fewer than these is slow for another reason
_FULL = 0.9  # of the most that a stream ever held
_SLOW = 3.0  # times the quickest tenth of the launches: of a full queue, most wait
_BLOCKING = tuple(COPIES.index(kind) for kind in ("h2d_pageable", "d2h_pageable", "other"))
NO_COPY = COPIES.index("none")


@dataclass(frozen=True, slots=True)
class HostWaits:
    """Calls that end no sooner than some device rows."""

    call: Ints
    device_row: Ints
    """One pair an entry."""
    blocking: Bools
    """Per call: it launches a copy and returns when that has ended."""
    ready_ns: Ints
    """Per call: when the wait was over; its start where it had not to wait."""
    queue_call: Ints
    queue_row: Ints
    """Launches that need a slot of the queue, and the row whose end frees it; not among the other pairs."""


def host_waits(trace: Trace, rows: DeviceRows, calls: Calls, streams: Streams) -> HostWaits:
    """Finds what every call waited for."""
    pairs = _synchronising(trace, rows, calls, streams)
    blocking_pairs = _blocking_copies(trace, rows, calls)
    pairs += blocking_pairs
    call, device_row = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    blocking = np.zeros(len(calls), dtype=np.bool_)
    blocking[[c for c, _ in blocking_pairs]] = True
    ready_ns = calls.start_ns.copy()
    np.maximum.at(ready_ns, call, rows.end_ns[device_row])
    queue_call, queue_row, released = _queue(rows, calls, streams, blocking)
    np.maximum.at(ready_ns, queue_call[released], rows.end_ns[queue_row[released]])
    return HostWaits(call, device_row, blocking, np.minimum(ready_ns, calls.end_ns), queue_call, queue_row)


def _synchronising(trace: Trace, rows: DeviceRows, calls: Calls, streams: Streams) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    freeing = set(drains(trace, calls).tolist())
    for call in sorted({*np.flatnonzero(calls.kind == SYNC).tolist(), *freeing}):
        start_ns, end_ns = int(calls.start_ns[call]), int(calls.end_ns[call])
        name = trace.names[trace.name_id[calls.row[call]]]
        told = streams.told.get(int(trace.correlation[calls.row[call]]))
        pending = _pending(streams, start_ns, end_ns)
        if call in freeing:
            awaited = [(end, row) for end, row in pending if end > start_ns]
        elif "Stream" not in name and "Event" not in name:
            awaited = pending
        elif told is not None and (known := _told(trace, streams, told, name, start_ns)) is not None:
            awaited = [(int(rows.end_ns[r]), r) for r in known if rows.end_ns[r] <= end_ns + CLOCKS_NS]
        else:
            awaited = _likely(rows, pending, start_ns)
        pairs += [(call, row) for _, row in awaited]
    return pairs


def _pending(streams: Streams, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """(end, row) of the last row given to each stream before a call, where the call outlasted it."""
    last = [(s, s.last_before(start_ns, end_ns + CLOCKS_NS)) for s in streams.streams.values()]
    return [(s.ends_ns[i], int(s.rows[i])) for s, i in last if i >= 0 and s.ends_ns[i] <= end_ns + CLOCKS_NS]


def _told(trace: Trace, streams: Streams, told: int, name: str, start_ns: int) -> list[int] | None:
    """What a row about this synchronisation says it waited for; None when it does not say."""
    is_event = "Event" in name
    number = int(trace.sync_stream[told] if is_event else trace.stream[told])
    stream: Stream | None = streams.streams.get((int(trace.device[told]), number))
    if stream is None:
        return None if is_event else []
    last = stream.last_before(streams.recorded_ns(told, start_ns) if is_event else start_ns)
    return [int(stream.rows[last])] if last >= 0 else []


def _likely(rows: DeviceRows, pending: list[tuple[int, int]], start_ns: int) -> list[tuple[int, int]]:
    """A stream or event that is not named: the last that ended within the call; else the last that was begun."""
    within = [(end, row) for end, row in pending if end > start_ns]
    if within:
        return [max(within)]
    return sorted(pending, key=lambda each: int(rows.start_ns[each[1]]))[-1:]


def _blocking_copies(trace: Trace, rows: DeviceRows, calls: Calls) -> list[tuple[int, int]]:
    """Copies of pageable memory, and those of calls that are not asynchronous, when the call outlasted them."""
    copies = np.flatnonzero((rows.copy_kind != NO_COPY) & (calls.launch_of != MISSING))
    call = calls.launch_of[copies]
    returns_after = trace.matches(lambda name: "Memcpy" in name and "Async" not in name)[calls.row[call]]
    fits = np.isin(rows.copy_kind[copies], _BLOCKING) | (
        returns_after & (rows.copy_kind[copies] != COPIES.index("d2d"))
    )
    fits &= (rows.end_ns[copies] <= calls.end_ns[call] + ROUNDING_NS) & (rows.start_ns[copies] < calls.end_ns[call])
    return list(zip(call[fits].tolist(), copies[fits].tolist(), strict=True))


def _queue(rows: DeviceRows, calls: Calls, streams: Streams, blocking: Bools) -> tuple[Ints, Ints, Bools]:
    """Launches and the rows whose ends give them a slot; last, which launches were seen to wait for it."""
    launches = calls.kind == LAUNCH
    duration_ns = calls.end_ns - calls.start_ns
    slow_ns = _SLOW * float(np.quantile(duration_ns[launches], 0.1)) if launches.any() else 0.0
    found: list[tuple[Ints, Ints, Bools]] = []
    for stream in streams.streams.values() if len(calls) else ():
        call = calls.launch_of[stream.rows]
        ends = np.maximum.accumulate(rows.end_ns[stream.rows])
        index = np.arange(len(call))
        known = call != MISSING
        depth = index - np.searchsorted(ends, calls.start_ns[call], side="right")
        ended = np.searchsorted(ends, calls.end_ns[call], side="right") - 1
        deepest = int(depth[known].max(initial=0))
        waited = known & (duration_ns[call] > slow_ns) & (depth >= max(_MANY, _FULL * deepest)) & (ended >= 0)
        waited &= ~blocking[call]
        waited &= ends[ended] > calls.start_ns[call]
        length = max(QUEUE_LENGTH, deepest)
        slot = np.where(waited, ended, index - length - 1)
        chosen = known & (slot >= 0)
        found.append((call[chosen], stream.rows[slot[chosen]], waited[chosen]))
    if not found:
        none = np.zeros(0, dtype=np.int64)
        return none, none, none.astype(np.bool_)
    call, row, waited = (np.concatenate(each) for each in zip(*found, strict=True))
    return call, row, waited

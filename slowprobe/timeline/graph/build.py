"""Builds the dependency graph of one rank from its trace."""

from __future__ import annotations

import numpy as np

from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.graph.calls import outermost_calls
from slowprobe.timeline.graph.host import HostRows, Threads
from slowprobe.timeline.graph.host_nodes import HostNodes, host_nodes
from slowprobe.timeline.graph.kinds import HOST_KINDS, LAUNCH
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.graph.streams import Streams
from slowprobe.timeline.graph.timing import Timing
from slowprobe.timeline.graph.waits import HostWaits, host_waits
from slowprobe.trace.reader import MISSING, Ints, Trace

_NO_THREADS = Threads(MISSING, (), ())


def build_graph(trace: Trace, rows: DeviceRows) -> Graph:
    """The graph of everything the host threads that feed the device did, and of all device rows.

    Threads that neither launch nor run the training (watchdogs, loaders' helpers) are left out.
    """
    host = HostRows(trace, rows)
    threads = host.threads()
    calls = outermost_calls(trace, rows, np.array((threads or _NO_THREADS).all, dtype=np.int64))
    streams = Streams(trace, rows, calls)
    waits = host_waits(trace, rows, calls, streams)
    nodes = _none() if threads is None else host_nodes(host, threads, calls, waits)
    first, last = nodes.call_ends(len(calls))
    launch = _looked_up(first, calls.launch_of)
    return _assembled(trace, rows, nodes, calls.row, launch, _edges(nodes, first, last, waits, streams), streams)


def _none() -> HostNodes:
    empty = [np.zeros(0, dtype=np.int64) for _ in range(6)]
    return HostNodes(*empty[:4], np.zeros(0, dtype=np.int8), *empty[4:], [])


def _looked_up(table: Ints, at: Ints) -> Ints:
    """`table[at]`, and `MISSING` where `at` is."""
    return np.where(at == MISSING, MISSING, np.append(table, MISSING)[at])


def _edges(nodes: HostNodes, first: Ints, last: Ints, waits: HostWaits, streams: Streams) -> Ints:
    """Columns waiting, awaited, period_ns: numbers of nodes, the host's first, then the device rows."""
    offset = len(nodes)
    waiting_row, awaited_row = streams.waits()
    parts = [
        np.array(nodes.edges, dtype=np.int64).reshape(-1, 3).T,
        _pairs(last[waits.call], offset + waits.device_row),
        _pairs(first[waits.queue_call], offset + waits.queue_row),
        _pairs(offset + waiting_row, offset + awaited_row),
    ]
    return np.concatenate(parts, axis=1)


def _pairs(waiting: Ints, awaited: Ints) -> Ints:
    return np.stack([waiting, awaited, np.zeros_like(waiting)])


def _assembled(
    trace: Trace, rows: DeviceRows, nodes: HostNodes, call_row: Ints, launch: Ints, edges: Ints, streams: Streams
) -> Graph:
    offset, count = len(nodes), len(nodes) + len(rows)
    before = np.concatenate([np.arange(-1, offset - 1), np.zeros(len(rows), dtype=np.int64)])
    before[:offset][np.diff(nodes.thread, prepend=MISSING) != 0] = MISSING
    stream_before = streams.before()
    before[offset:] = np.where(stream_before == MISSING, MISSING, stream_before + offset)
    start_ns = np.concatenate([nodes.start_ns, rows.start_ns])
    end_ns = np.concatenate([nodes.end_ns, rows.end_ns])
    order = _order(nodes, rows, launch, streams)
    new = np.empty(count, dtype=np.int64)
    new[order] = np.arange(count)

    def both(host: Ints, device: Ints) -> Ints:
        return np.concatenate([host, device])[order]

    none = np.full(offset, MISSING, dtype=np.int64)
    numbers = np.arange(len(rows), dtype=np.int64)
    row = both(_looked_up(call_row, nodes.call), rows.row)
    before = _looked_up(new, before)[order]
    launch = _looked_up(new, both(none, launch))
    waiting, awaited = new[edges[0]], new[edges[1]]
    kept = np.flatnonzero(awaited < waiting)  # with clocks askew, a wait can seem to end before what it waited for
    kept = kept[np.argsort(waiting[kept], kind="stable")]
    launch[launch >= np.arange(count)] = MISSING
    kind = both(nodes.kind, rows.kind.astype(np.int64) + len(HOST_KINDS))
    timing = Timing(start_ns[order], end_ns[order], before, launch, waiting[kept], awaited[kept], edges[2][kept])
    launches = (kind == LAUNCH) & (end_ns > start_ns)[order]
    return Graph(
        kind=kind.astype(np.int8),
        row=row,
        device_row=both(none, numbers),
        thread=both(nodes.thread, np.full(len(rows), MISSING)),
        class_id=both(none, rows.class_id).astype(np.int8),
        copy_kind=both(np.zeros(offset, dtype=np.int64), rows.copy_kind).astype(np.int8),
        name_id=_looked_up(trace.name_id, row),
        names=trace.names,
        start_ns=timing.start_ns,
        duration_ns=timing.end_ns - timing.start_ns,
        operator_ns=both(nodes.operator_ns, np.zeros(len(rows), dtype=np.int64)),
        before=before,
        gap_ns=timing.gap_ns,
        launch=launch,
        lag_ns=timing.lag_ns,
        delay_ns=timing.delay_ns,
        waiting=timing.waiting,
        awaited=timing.awaited,
        period_ns=timing.period_ns,
        origin_ns=timing.origin_ns,
        launch_cost_ns=int(np.median((timing.end_ns - timing.start_ns)[launches])) if launches.any() else 0,
        latency_ns=timing.latency_ns,
    )


def _order(nodes: HostNodes, rows: DeviceRows, launch: Ints, streams: Streams) -> Ints:
    """By start, but for device rows that seem to start before their launch: no earlier than that."""
    launched = np.append(nodes.start_ns, np.iinfo(np.int64).min)[launch]
    key = np.maximum(rows.start_ns, launched)
    for stream in streams.streams.values():
        key[stream.rows] = np.maximum.accumulate(key[stream.rows])
    return np.argsort(np.concatenate([nodes.start_ns, key]), kind="stable")

"""Builds the dependency graph of one rank from its trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.graph.calls import outermost_calls
from slowprobe.timeline.graph.host import HostRows, Threads
from slowprobe.timeline.graph.host_nodes import HostNodes, host_nodes
from slowprobe.timeline.graph.kinds import HOST_KINDS
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.graph.streams import Streams
from slowprobe.timeline.graph.timing import Timing
from slowprobe.timeline.graph.waits import NO_COPY, HostWaits, host_waits
from slowprobe.trace.reader import MISSING, Ints, Trace

_TIES = 8  # nodes of no duration at one instant, at most
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
    stream_before = streams.before()
    edges = _edges(nodes, first, last, waits, _between_streams(rows, streams, stream_before))
    links = _links(nodes, rows, launch, stream_before, edges, streams)
    return _assembled(trace, rows, nodes, calls.row, links)


def _none() -> HostNodes:
    no = np.zeros(0, dtype=np.int64)
    return HostNodes(no, no, no, no, no.astype(np.int8), no, no, [])


def _looked_up(table: Any, at: Any) -> Any:
    """`table[at]`, and `MISSING` where `at` is."""
    return np.append(table, np.array([MISSING], dtype=table.dtype))[at]  # MISSING, −1, is the last


def _edges(nodes: HostNodes, first: Ints, last: Ints, waits: HostWaits, between_streams: Ints) -> Ints:
    """Columns waiting, awaited, period_ns: numbers of nodes, the host's first, then the device rows."""
    offset = len(nodes)
    parts = [
        np.array(nodes.edges, dtype=np.int64).reshape(-1, 3).T,
        _pairs(last[waits.call], offset + waits.device_row),
        _pairs(first[waits.queue_call], offset + waits.queue_row),
        between_streams + np.array([[offset], [offset], [0]]),
    ]
    return np.concatenate(parts, axis=1)


def _between_streams(rows: DeviceRows, streams: Streams, before: Ints) -> Ints:
    """Columns waiting, awaited, period_ns, by position of the device row."""
    waiting, awaited = streams.waits()
    held, holding = streams.held_up(before, waiting, awaited)
    early_ns = np.minimum(rows.start_ns[held] - rows.end_ns[holding], 0)
    return np.concatenate([_pairs(waiting, awaited), np.stack([held, holding, early_ns])], axis=1)


def _pairs(waiting: Ints, awaited: Ints) -> Ints:
    return np.stack([waiting, awaited, np.zeros_like(waiting)])


@dataclass(frozen=True, slots=True)
class _Links:
    """What depends on what, by the nodes' final numbers."""

    order: Ints
    """Per node: its number before, among the host's nodes and then the device rows."""
    before: Ints
    launch: Ints
    waiting: Ints
    awaited: Ints
    period_ns: Ints


def _links(
    nodes: HostNodes, rows: DeviceRows, launch: Ints, stream_before: Ints, edges: Ints, streams: Streams
) -> _Links:
    offset, count = len(nodes), len(nodes) + len(rows)
    before = np.arange(-1, offset - 1)
    before[np.diff(nodes.thread, prepend=MISSING) != 0] = MISSING
    joined = np.append(before, np.where(stream_before == MISSING, MISSING, stream_before + offset)).astype(np.int32)
    order: Any = _order(nodes, rows, launch, streams).astype(np.int32)
    new: Any = np.empty(count, dtype=np.int32)
    new[order] = np.arange(count)
    launched = _looked_up(new, np.append(np.full(offset, MISSING, dtype=np.int32), launch.astype(np.int32))[order])
    launched[launched >= np.arange(count)] = MISSING
    before = _looked_up(new, joined)[order]
    waiting, awaited = new[edges[0]], _earlier(new[edges[0]], new[edges[1]], before)
    kept = np.flatnonzero(awaited != MISSING)
    kept = kept[np.argsort(waiting[kept], kind="stable")]
    return _Links(order, before, launched, waiting[kept], awaited[kept], edges[2][kept])


def _earlier(waiting: Ints, awaited: Ints, before: Ints) -> Ints:
    """With clocks askew or coarse, a wait can seem to end before what it waited for: then what was in front of that."""
    for _ in range(_TIES):
        awaited = np.where(awaited < waiting, awaited, _looked_up(before, awaited))
    return np.where(awaited < waiting, awaited, MISSING)


def _assembled(trace: Trace, rows: DeviceRows, nodes: HostNodes, call_row: Ints, links: _Links) -> Graph:
    def column(host: Any, device: Any, width: Any = np.int64) -> Any:
        both = np.empty(len(nodes) + len(rows), dtype=width)
        both[: len(nodes)], both[len(nodes) :] = host, device
        return both[links.order]

    start_ns, end_ns = column(nodes.start_ns, rows.start_ns), column(nodes.end_ns, rows.end_ns)
    timing = Timing(start_ns, end_ns, links.before, links.launch, links.waiting, links.awaited, links.period_ns)
    row = column(_looked_up(call_row, nodes.call), rows.row, np.int32)
    kind = column(nodes.kind, rows.kind + len(HOST_KINDS), np.int8)
    kernels = (kind >= len(HOST_KINDS)) & (column(0, rows.copy_kind, np.int8) == NO_COPY) & (links.launch != MISSING)
    launches_ns = (end_ns - start_ns)[links.launch[kernels]]
    return Graph(
        kind=kind,
        row=row,
        rank=np.zeros(len(start_ns), dtype=np.int16),
        thread=column(nodes.thread, MISSING, np.int32),
        class_id=column(MISSING, rows.class_id, np.int8),
        copy_kind=column(0, rows.copy_kind, np.int8),
        name_id=_looked_up(trace.name_id.astype(np.int32), row),
        names=trace.names,
        start_ns=start_ns,
        duration_ns=end_ns - start_ns,
        operator_ns=column(nodes.operator_ns, 0),
        before=links.before,
        gap_ns=timing.gap_ns,
        launch=links.launch,
        lag_ns=timing.lag_ns,
        delay_ns=timing.delay_ns,
        waiting=links.waiting,
        awaited=links.awaited,
        period_ns=links.period_ns,
        origin_ns=timing.origin_ns,
        launch_cost_ns=int(np.median(launches_ns)) if len(launches_ns) else 0,
        latency_ns=timing.latency_ns,
    )


def _order(nodes: HostNodes, rows: DeviceRows, launch: Ints, streams: Streams) -> Ints:
    """By start, but for device rows that seem to start before their launch: no earlier than that."""
    launched = np.append(nodes.start_ns, np.iinfo(np.int64).min)[launch]
    key = np.maximum(rows.start_ns, launched)
    for stream in streams.streams.values():
        key[stream.rows] = np.maximum.accumulate(key[stream.rows])
    return np.argsort(np.concatenate([nodes.start_ns, key]), kind="stable")

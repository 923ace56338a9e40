"""Nodes of the host: each thread cut into the calls that matter to the device, and the work between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.device.intervals import distinct
from slowprobe.timeline.graph.calls import Calls
from slowprobe.timeline.graph.hand_over import HandOvers, hand_overs
from slowprobe.timeline.graph.host import HostRows, Stretches, Threads, union
from slowprobe.timeline.graph.kinds import DATA, HOST, LAUNCH, SYNC
from slowprobe.timeline.graph.waits import HostWaits
from slowprobe.trace.reader import MISSING, Bools, Ints

_WAITED = 0.05  # of the time since the last batch: asking takes a loader's workers that long only when they are late


@dataclass(slots=True)
class HostNodes:
    """Columns as in `Graph`, thread after thread, each in order of time."""

    thread: Ints
    begins_ns: Ints
    """When the node was reached; a call may wait from there to its `start_ns`."""
    start_ns: Ints
    end_ns: Ints
    kind: npt.NDArray[np.int8]
    operator_ns: Ints
    call: Ints
    """Position of the call; `MISSING` for work between calls."""
    edges: list[tuple[int, int, int]]
    """(waiting, awaited, period_ns) between these nodes, beyond the order on each thread."""

    def __len__(self) -> int:
        return len(self.start_ns)

    def of_thread(self, thread: int) -> slice:
        """Where the nodes of a thread are."""
        return slice(*np.searchsorted(self.thread, [thread, thread + 1]).tolist())

    def call_ends(self, calls: int) -> tuple[Ints, Ints]:
        """First and last node of every call; the first launches, the last waits."""
        nodes = np.flatnonzero(self.call != MISSING)
        first, last = np.full((2, calls), MISSING, dtype=np.int64)
        first[self.call[nodes[::-1]]] = nodes[::-1]
        last[self.call[nodes]] = nodes
        return first, last


def host_nodes(host: HostRows, threads: Threads, calls: Calls, waits: HostWaits) -> HostNodes:
    """All nodes of these threads."""
    activity = [host.activity(thread) for thread in threads.all]
    instants = [distinct(*each) for each in activity]
    main_calls = _stretches_of(calls, calls.place == threads.main)
    engines = range(1, 1 + len(threads.engine))
    bursts = {i: hand_overs(instants[0], activity[i], main_calls) for i in engines}
    idle = {i: each.engine_waits() for i, each in bursts.items()}
    idle[0] = _joined([each.main_waits() for each in bursts.values()])
    parts = [
        _thread(host, thread, i, instants[i], calls, waits, idle.get(i, _joined([])))
        for i, thread in enumerate(threads.all)
    ]
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    thread, begins_ns, start_ns, end_ns, kind, operator_ns, call = columns
    nodes = HostNodes(thread, begins_ns, start_ns, end_ns, kind.astype(np.int8), operator_ns, call, [])
    for i, each in bursts.items():
        nodes.edges += _hand_over_edges(nodes, i, each)
    nodes.edges += _supply(nodes, host.data(threads.main, from_workers=True))
    return nodes


def _stretches_of(calls: Calls, mine: Ints | Bools) -> Stretches:
    return Stretches(calls.start_ns[mine], calls.end_ns[mine])


def _joined(stretches: list[Stretches]) -> Stretches:
    none = np.zeros(0, dtype=np.int64)
    start_ns = np.concatenate([none, *(s.start_ns for s in stretches)])
    end_ns = np.concatenate([none, *(s.end_ns for s in stretches)])
    order = np.argsort(start_ns, kind="stable")
    return union(start_ns[order], end_ns[order])


def _thread(
    host: HostRows, place: int, number: int, instants: Ints, calls: Calls, waits: HostWaits, idle: Stretches
) -> tuple[Ints, ...]:
    """Thread, begins_ns, start_ns, end_ns, kind, operator_ns and call of the nodes of one thread."""
    mine = np.flatnonzero((calls.place == place) & (calls.kind != HOST))
    in_call = _stretches_of(calls, mine)
    data, operators = host.data(place), host.operators(place)
    cuts = [instants[[0, -1]], in_call.start_ns, in_call.end_ns, data.start_ns, data.end_ns, idle.start_ns, idle.end_ns]
    points = distinct(*cuts, host.marks(place))
    works = (in_call.holding(points[:-1]) == MISSING) & (idle.holding(points[:-1]) == MISSING)
    start_ns, end_ns = points[:-1][works], points[1:][works]
    kind = np.where(data.holding(start_ns) == MISSING, HOST, DATA)
    in_operators = np.where(kind == HOST, operators.covered_ns(end_ns) - operators.covered_ns(start_ns), 0)
    blocking = mine[waits.blocking[mine]]
    no_time, entry = np.zeros_like(blocking), np.full_like(blocking, LAUNCH)
    begins_ns = np.concatenate([start_ns, calls.start_ns[blocking], calls.start_ns[mine]])
    ends_ns = np.concatenate([end_ns, calls.start_ns[blocking], calls.end_ns[mine]])
    columns = (
        begins_ns,
        np.concatenate([start_ns, calls.start_ns[blocking], waits.ready_ns[mine]]),
        ends_ns,
        np.concatenate([kind, entry, np.where(waits.blocking[mine], SYNC, calls.kind[mine])]),
        np.concatenate([in_operators, no_time, np.zeros_like(mine)]),
        np.concatenate([np.full_like(start_ns, MISSING), blocking, mine]),
    )
    order = np.lexsort((ends_ns, begins_ns))
    return (np.full(len(order), number, dtype=np.int64), *(column[order] for column in columns))


def _hand_over_edges(nodes: HostNodes, engine: int, bursts: HandOvers) -> list[tuple[int, int, int]]:
    main_at, engine_at = nodes.of_thread(0), nodes.of_thread(engine)

    def last_by(part: slice, time_ns: Ints) -> Ints:
        return np.asarray(part.start + np.searchsorted(nodes.end_ns[part], time_ns, side="right") - 1)

    def first_from(part: slice, time_ns: Ints) -> Ints:
        return np.asarray(part.start + np.searchsorted(nodes.begins_ns[part], time_ns, side="left"))

    pairs = [
        (first_from(engine_at, bursts.start_ns), engine_at, last_by(main_at, bursts.start_ns), main_at),
        (
            first_from(main_at, bursts.end_ns[bursts.returns]),
            main_at,
            last_by(engine_at, bursts.end_ns[bursts.returns]),
            engine_at,
        ),
    ]
    return [
        (waiting, awaited, 0)
        for waits, waits_at, awaits, awaits_at in pairs
        for waiting, awaited in zip(waits.tolist(), awaits.tolist(), strict=True)
        if waiting < waits_at.stop and awaited >= awaits_at.start
    ]


def _supply(nodes: HostNodes, data: Stretches) -> list[tuple[int, int, int]]:
    """Where the main thread waited for its workers' batch, that was all it did: the next came when it was made."""
    main = nodes.of_thread(0)
    asking = np.flatnonzero(nodes.kind[main] == DATA).tolist()
    by_end = {int(nodes.end_ns[node]): node for node in asking}
    edges: list[tuple[int, int, int]] = []
    ends = data.end_ns.tolist()
    for start, end, previous in zip(data.start_ns[1:].tolist(), ends[1:], ends, strict=False):
        node, before = by_end.get(end), by_end.get(previous)
        if node is None or before is None or int(nodes.begins_ns[node]) != start:
            continue
        if end - start >= _WAITED * (end - previous):
            nodes.start_ns[node] = end
            edges.append((node, before, end - previous))
    return edges

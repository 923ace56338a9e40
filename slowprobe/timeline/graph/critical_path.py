"""The critical path: walking back from the end, always to what was waited for last."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.graph.kinds import DATA, HOST_KINDS
from slowprobe.trace.reader import MISSING, Ints

if TYPE_CHECKING:
    from slowprobe.timeline.graph.nodes import Graph

_HOST = ("python", *HOST_KINDS[1:])


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """Nodes in order of time, and what the time along them went to."""

    nodes: Ints
    length_ns: int
    """At most the span of the graph; less when what comes first begins later."""
    by_kind: dict[str, int]
    """ns; adds up to `length_ns`. Device classes; on the host python, operator, data, launch, sync, allocator, call;
    between nodes launch_latency, stream_gap, supply (of a batch by workers), and delay, which nothing in the graph
    explains. The last three can be a little below zero, where clocks were rounded."""

    def __len__(self) -> int:
        return len(self.nodes)

    def share(self, kind: str) -> float:
        """The part of the path that one kind has."""
        return self.by_kind.get(kind, 0) / self.length_ns if self.length_ns else 0.0


def critical_path(graph: Graph) -> CriticalPath:
    """The path as recorded."""
    if not len(graph):
        return CriticalPath(np.zeros(0, dtype=np.int64), 0, {})
    walk = _Walk(graph)
    node = int(np.argmax(graph.end_ns))
    last_ns = walk.end_ns[node]
    path: list[int] = []
    whole = True  # whether the path goes through all of a node, or leaves it at its start
    while node != MISSING:
        path.append(node)
        if whole:
            walk.spend_node(node)
        node, whole = walk.back(node)
    path.reverse()
    by_kind = {kind: time_ns for kind, time_ns in walk.by_kind.items() if time_ns}
    return CriticalPath(np.array(path, dtype=np.int64), last_ns - walk.start_ns[path[0]], by_kind)


class _Walk:
    """The columns of a graph as plain numbers, and what was spent so far."""

    def __init__(self, graph: Graph) -> None:
        # Memory views give Python's own numbers without a copy of the column.
        self.start_ns, self.end_ns = graph.start_ns.data, graph.end_ns.data
        self._operator_ns = graph.operator_ns.data
        self._before, self._gap_ns = graph.before.data, graph.gap_ns.data
        self._launch, self._lag_ns = graph.launch.data, graph.lag_ns.data
        self._awaited, self._period_ns = graph.awaited.data, graph.period_ns.data
        self._first_edge = np.searchsorted(graph.waiting, np.arange(len(graph) + 1)).data
        self._kind, self._class_id = graph.kind.data, graph.class_id.data
        self.by_kind: dict[str, int] = defaultdict(int)

    def spend_node(self, node: int) -> None:
        """Counts the node's own time."""
        in_operators = self._operator_ns[node]
        self.by_kind["operator"] += in_operators
        class_id = self._class_id[node]
        kind = CLASSES[class_id] if class_id != MISSING else _HOST[self._kind[node]]
        self.by_kind[kind] += self.end_ns[node] - self.start_ns[node] - in_operators

    def back(self, node: int) -> tuple[int, bool]:
        """What a node waited for last, and whether for its end; counts the time between the two."""
        # (when the wait was over, when it began, node, of which kind, whether from its end)
        reached: list[tuple[int, int, int, str, bool]] = []
        if (before := self._before[node]) != MISSING:
            ended_ns = self.end_ns[before]
            reached.append((ended_ns + self._gap_ns[node], ended_ns, before, "stream_gap", True))
        if (launch := self._launch[node]) != MISSING:
            launched_ns = self.start_ns[launch]
            reached.append((launched_ns + self._lag_ns[node], launched_ns, launch, "launch_latency", False))
        for edge in range(self._first_edge[node], self._first_edge[node + 1]):
            awaited = self._awaited[edge]
            ended_ns = self.end_ns[awaited]
            kind = "supply" if self._kind[node] == DATA else "delay"
            reached.append((ended_ns + self._period_ns[edge], ended_ns, awaited, kind, True))
        if not reached:
            return MISSING, False
        over_ns, from_ns, source, kind, whole = max(reached)
        self.by_kind["delay"] += self.start_ns[node] - over_ns
        self.by_kind[kind] += over_ns - from_ns
        return source, whole

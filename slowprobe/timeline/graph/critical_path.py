"""The critical path: walking back from the end, always to what was waited for last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.graph.kinds import NODE_KINDS
from slowprobe.trace.reader import MISSING, Ints

if TYPE_CHECKING:
    from slowprobe.timeline.graph.nodes import Graph


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
    end_ns = graph.end_ns.tolist()
    start_ns, operator_ns = graph.start_ns.tolist(), graph.operator_ns.tolist()
    kinds = _kinds(graph)
    edges: dict[int, list[tuple[int, int]]] = {}
    for node, awaited, period in zip(
        graph.waiting.tolist(), graph.awaited.tolist(), graph.period_ns.tolist(), strict=True
    ):
        edges.setdefault(node, []).append((awaited, period))
    by_kind: dict[str, int] = {}

    def spend(kind: str, time_ns: int) -> None:
        if time_ns:
            by_kind[kind] = by_kind.get(kind, 0) + time_ns

    node = max(range(len(end_ns)), key=end_ns.__getitem__)
    last_ns = end_ns[node]
    path: list[int] = []
    whole = True  # whether the path goes through all of a node, or leaves it at its start
    while True:
        path.append(node)
        if whole:
            in_operators = operator_ns[node]
            spend("operator", in_operators)
            spend(kinds[node], end_ns[node] - start_ns[node] - in_operators)
        # (when the wait was over, when it began, node, of which kind, whether from its end)
        reached: list[tuple[int, int, int, str, bool]] = []
        if (before := int(graph.before[node])) != MISSING:
            reached.append((end_ns[before] + int(graph.gap_ns[node]), end_ns[before], before, "stream_gap", True))
        if (launch := int(graph.launch[node])) != MISSING:
            launched_ns = start_ns[launch]
            reached.append((launched_ns + int(graph.lag_ns[node]), launched_ns, launch, "launch_latency", False))
        for awaited, period in edges.get(node, ()):
            reached.append((end_ns[awaited] + period, end_ns[awaited], awaited, "supply", True))
        if not reached:
            break
        over_ns, from_ns, source, kind, whole = max(reached)
        spend("delay", start_ns[node] - over_ns)
        spend(kind, over_ns - from_ns)
        node = source
    path.reverse()
    return CriticalPath(np.array(path, dtype=np.int64), last_ns - start_ns[path[0]], by_kind)


def _kinds(graph: Graph) -> list[str]:
    host = ["python" if kind == "host" else kind for kind in NODE_KINDS]
    return [
        CLASSES[class_id] if class_id != MISSING else host[kind]
        for class_id, kind in zip(graph.class_id.tolist(), graph.kind.tolist(), strict=True)
    ]

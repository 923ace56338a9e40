"""Longest path over a dependency graph: when every node starts and ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.graph.chains import Times
from slowprobe.trace.reader import MISSING, Bools, Ints

if TYPE_CHECKING:
    from slowprobe.timeline.graph.nodes import Graph

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Start and end of every node, on the trace's clock."""

    start_ns: Ints
    end_ns: Ints
    total_ns: int
    """From the start of the trace to the end of the last node."""


@dataclass(slots=True)
class Edit:
    """A graph's times, for changes to alter. Durations are `own_ns` + `operator_ns`."""

    graph: Graph
    inside: Bools
    """Nodes that changes may touch."""
    off_step: Bools
    """Nodes of the host between the steps."""
    own_ns: Floats
    operator_ns: Floats
    gap_ns: Ints
    lag_ns: Ints
    period_ns: Floats
    unwaited: Bools
    """Nodes that no longer wait for others than the one in front of them and their launch."""
    floor_ns: int = 0
    """The whole cannot take less."""

    @classmethod
    def of(cls, graph: Graph) -> Edit:
        """The graph as recorded."""
        count = len(graph)
        operator_ns = graph.operator_ns.astype(np.float64)
        return cls(
            graph=graph,
            inside=np.ones(count, dtype=np.bool_),
            off_step=np.zeros(count, dtype=np.bool_),
            own_ns=graph.duration_ns - operator_ns,
            operator_ns=operator_ns,
            gap_ns=graph.gap_ns.copy(),
            lag_ns=graph.lag_ns.copy(),
            period_ns=graph.period_ns.astype(np.float64),
            unwaited=np.zeros(count, dtype=np.bool_),
        )

    def scale(self, nodes: Bools, left: float) -> None:
        """Leaves so much of the time of some nodes."""
        nodes = nodes & self.inside
        self.own_ns[nodes] *= left
        self.operator_ns[nodes] *= left

    def limit(self, nodes: Bools, most_ns: float) -> None:
        """Leaves at most so much of the time of each of some nodes."""
        nodes = nodes & self.inside
        self.operator_ns[nodes] = np.minimum(self.operator_ns[nodes], most_ns)
        self.own_ns[nodes] = np.minimum(self.own_ns[nodes], most_ns - self.operator_ns[nodes])


def schedule(graph: Graph, edit: Edit) -> Schedule:
    """Times of all nodes; exactly those recorded where the edit changes nothing."""
    count = len(graph)
    if not count:
        none = np.zeros(0, dtype=np.int64)
        return Schedule(none, none, 0)
    # A node that no longer waits must not begin before the one in front of it ended.
    delay_ns = np.where(edit.unwaited, np.maximum(graph.delay_ns, 0), graph.delay_ns)
    duration_ns = np.rint(edit.own_ns + edit.operator_ns).astype(np.int64)
    times = Times(
        gap_ns=edit.gap_ns,
        lag_ns=_lags(graph, edit.lag_ns, duration_ns),
        delay_ns=delay_ns,
        duration_ns=duration_ns,
        period_ns=np.rint(edit.period_ns).astype(np.int64),
        stays=~edit.unwaited[graph.waiting],
    )
    start_ns, end_ns = graph.placing.placed(times)
    total_ns = int(end_ns.max()) - graph.origin_ns
    return Schedule(start_ns, end_ns, max(total_ns, min(edit.floor_ns, graph.span_ns)))


def _lags(graph: Graph, lag_ns: Ints, duration_ns: Ints) -> Ints:
    """A launch that takes less submits that much sooner: lags are from its start, and hold some or all of it."""
    launched = np.flatnonzero(graph.launch != MISSING)
    calls = graph.launch[launched]
    saved_ns = graph.duration_ns[calls] - duration_ns[calls]
    if not saved_ns.any():
        return lag_ns
    lag_ns = lag_ns.copy()
    held = np.clip(lag_ns[launched] / np.maximum(graph.duration_ns[calls], 1), 0, 1)
    lag_ns[launched] -= np.rint(saved_ns * held).astype(np.int64)
    return lag_ns

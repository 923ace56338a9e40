"""Placing nodes chain by chain gives what a walk over every node gives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.chains import Placing, Times
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.trace.reader import MISSING, read_trace

SHARED = Path(os.environ.get("SLOWPROBE_TRACES", Path(__file__).parents[4] / "shared" / "traces"))
TRACES = sorted(
    str(path.relative_to(SHARED)) for path in SHARED.rglob("*.json*") if not path.name.startswith("answers_")
)


def walked(graph: Graph, times: Times) -> tuple[list[int], list[int]]:
    """Node by node, as the graph is defined."""
    start, end = [graph.origin_ns] * (len(graph) + 1), [graph.origin_ns] * (len(graph) + 1)
    waits: dict[int, list[tuple[int, int]]] = {}
    for edge in np.flatnonzero(times.stays).tolist():
        entry = int(graph.awaited[edge]), int(times.period_ns[edge])
        waits.setdefault(int(graph.waiting[edge]), []).append(entry)
    for node in range(len(graph)):
        at = end[graph.before[node]] + int(times.gap_ns[node])
        if graph.launch[node] != MISSING:
            at = max(at, start[graph.launch[node]] + int(times.lag_ns[node]))
        at = max([at, *(end[awaited] + period for awaited, period in waits.get(node, ()))])
        start[node] = at + int(times.delay_ns[node])
        end[node] = start[node] + int(times.duration_ns[node])
    return start[:-1], end[:-1]


def edits(graph: Graph, seed: int) -> Times:
    """Some nodes much shorter, some longer, some edges gone."""
    random = np.random.default_rng(seed)
    count, edges = len(graph), len(graph.waiting)
    scale = random.choice([0.0, 0.3, 1.0, 4.0], size=count)
    if seed % 2:
        scale = np.where(graph.on_device, scale, 0.05)  # the host runs far ahead: queues are full
    return Times(
        gap_ns=graph.gap_ns,
        lag_ns=graph.lag_ns // random.integers(1, 3, size=count),
        delay_ns=np.maximum(graph.delay_ns, random.choice([-(1 << 60), 0], size=count)),
        duration_ns=np.rint(graph.duration_ns * scale).astype(np.int64),
        period_ns=graph.period_ns,
        stays=random.random(edges) < random.choice([0.5, 1.0]),
    )


@pytest.mark.skipif(not TRACES, reason=f"no traces in {SHARED}")
@pytest.mark.parametrize("name", TRACES)
def test_chains_give_the_times_of_a_walk_over_every_node(name):
    trace = read_trace(SHARED / name)
    graph = build_graph(trace, device_rows(trace))
    if not len(graph):
        return
    placing = Placing(graph)
    for seed in range(4):
        times = edits(graph, seed)
        start_ns, end_ns = placing.placed(times)
        assert (start_ns.tolist(), end_ns.tolist()) == walked(graph, times), seed

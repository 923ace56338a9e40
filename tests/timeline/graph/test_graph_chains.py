"""Placing nodes chain by chain gives what a walk over every node gives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.chains import Placing, Times
from slowprobe.timeline.graph.kinds import HOST_KINDS, LAUNCH
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


def in_lockstep(launches: int) -> Graph:
    """Each launch waits for the row of the one before: every node is a chain of its own."""
    count = 2 * launches
    node = np.arange(count)
    on_device = node % 2 == 1
    none = np.full(count, MISSING)
    no_time = np.zeros(count, dtype=np.int64)
    waiting = node[2::2]
    return Graph(
        kind=np.where(on_device, len(HOST_KINDS), LAUNCH).astype(np.int8),
        row=node,
        rank=np.zeros(count, dtype=np.int16),
        thread=np.where(on_device, MISSING, 0),
        class_id=none.astype(np.int8),
        copy_kind=no_time.astype(np.int8),
        name_id=none,
        names=(),
        start_ns=10 * node,
        duration_ns=np.full(count, 10),
        operator_ns=no_time,
        before=np.where(node >= 2, node - 2, MISSING),
        gap_ns=no_time,
        launch=np.where(on_device, node - 1, MISSING),
        lag_ns=np.where(on_device, 10, 0),
        delay_ns=no_time,
        waiting=waiting,
        awaited=waiting - 1,
        period_ns=np.zeros(len(waiting), dtype=np.int64),
        origin_ns=0,
        launch_cost_ns=10,
        latency_ns=10,
    )


def test_more_chains_than_the_root_of_32_bits():
    graph = in_lockstep(40_000)
    times = edits(graph, 0)
    start_ns, end_ns = Placing(graph).placed(times)
    assert (start_ns.tolist(), end_ns.tolist()) == walked(graph, times)
    assert graph.replay().end_ns.tolist() == graph.end_ns.tolist()

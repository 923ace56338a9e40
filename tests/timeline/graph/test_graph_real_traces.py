"""The graph of real traces of other people: exact replays, and what changes may and may not do."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from slowprobe.timeline.device.rows import DeviceRows, device_rows
from slowprobe.timeline.device.steps import trace_steps
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.changes import (
    Change,
    Faster,
    FewerLaunches,
    HostFaster,
    NoGap,
    NoSync,
    OverlapCopies,
)
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.graph.outlook import GraphReplay
from slowprobe.timeline.loop_changes import GONE, faster
from slowprobe.trace.reader import MISSING, read_trace

SHARED = Path(os.environ.get("SLOWPROBE_TRACES", Path(__file__).parents[4] / "shared" / "traces"))
TRACES = sorted(
    str(path.relative_to(SHARED)) for path in SHARED.rglob("*.json*") if not path.name.startswith("answers_")
)
pytestmark = pytest.mark.skipif(not TRACES, reason=f"no traces in {SHARED}")
each_trace = pytest.mark.parametrize("name", TRACES)

CHANGES = (
    Faster("compute", faster(1, 2)),
    Faster("communication", GONE),
    Faster(lambda name: "gemm" in name.lower(), faster(1, 3)),
    HostFaster(faster(1, 2)),
    NoGap("data"),
    NoGap("python"),
    NoGap("allocator"),
    NoSync(),
    OverlapCopies(),
    FewerLaunches(0, 500, 1_000),
)


@cache
def built(name: str) -> tuple[Graph, GraphReplay, DeviceRows]:
    trace = read_trace(SHARED / name)
    rows = device_rows(trace)
    graph = build_graph(trace, rows)
    steps = trace_steps(trace, rows)
    return graph, GraphReplay(graph, steps.start_ns, steps.end_ns), rows


@each_trace
def test_without_changes_every_time_is_the_recorded_one(name):
    graph, replay, _ = built(name)
    replayed = graph.replay()
    assert replayed.start_ns.tolist() == graph.start_ns.tolist()
    assert replayed.end_ns.tolist() == graph.end_ns.tolist()
    assert replayed.total_ns == graph.span_ns
    outlook = replay.outlook(())
    assert outlook.before_s == outlook.best_s == outlook.expected_s == outlook.worst_s


@each_trace
def test_making_anything_faster_makes_nothing_later(name):
    graph, replay, _ = built(name)
    before = graph.replay()
    for change in CHANGES:
        after = graph.replay([change])
        assert (after.end_ns <= before.end_ns).all(), change
        outlook = replay.outlook([change])
        assert outlook.best_s <= outlook.expected_s <= outlook.worst_s <= outlook.before_s, change
    chosen = np.random.default_rng(0).choice(graph.row, size=min(len(graph), 200)).tolist()
    assert (graph.replay([Faster(chosen, GONE)]).end_ns <= before.end_ns).all()


@each_trace
def test_changes_together_save_at_least_what_each_saves(name):
    graph, _, _ = built(name)
    alone = [graph.replay([change]).total_ns for change in CHANGES[:-2]]
    assert graph.replay(CHANGES[:-2]).total_ns <= min(alone)


@each_trace
def test_the_critical_path_is_no_longer_than_the_span(name):
    graph, _, _ = built(name)
    path = graph.critical_path()
    assert 0 <= path.length_ns <= graph.span_ns
    assert sum(path.by_kind.values()) == path.length_ns


@each_trace
def test_every_device_row_is_a_node_and_hangs_on_its_launch(name):
    graph, _, rows = built(name)
    assert int(graph.on_device.sum()) == len(rows)
    known = int((rows.launch != MISSING).sum())
    assert int((graph.launch != MISSING).sum()) >= 0.99 * known


def saved_share(name: str, change: Change) -> float:
    if name not in TRACES:
        pytest.skip(f"{name} is not there")
    outlook = built(name)[1].outlook([change])
    return outlook.saved_s / outlook.before_s


def test_what_waiting_for_data_costs():
    """The TensorBoard plugin counts 33 % of the step without workers, and next to nothing with four."""
    without = "v100_resnet50_workers0/worker0.1623143089861.pt.trace.json.gz"
    assert saved_share(without, NoGap("data")) == pytest.approx(0.33, abs=0.02)
    assert saved_share("v100_resnet50_workers4/worker0.1623212756351.pt.trace.json.gz", NoGap("data")) < 0.02


def test_faster_kernels_do_not_help_a_loop_that_launches_too_slowly():
    name = "hta_v100_2rank_r1.json.gz"
    assert saved_share(name, Faster("compute", faster(1, 2))) < 0.01
    assert saved_share(name, HostFaster(faster(1, 2))) > 0.3


def test_faster_kernels_help_a_loop_that_the_device_holds_up():
    name = "tl_mi300x_torchcompile_triton.json.gz"
    assert saved_share(name, Faster("compute", faster(1, 2))) > 0.45
    assert saved_share(name, HostFaster(faster(1, 2))) < 0.05

"""What operators cost and what bounds a step: exact on hand-made traces, then on small real ones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from slowprobe.errors import TraceError
from slowprobe.timeline.op_classes import classify
from slowprobe.timeline.op_cost import batched_ns
from slowprobe.timeline.op_tree import build_tree
from slowprobe.timeline.ops import OpWindow, read_window
from slowprobe.trace.reader import read_trace


def event(name: str, ts: float, dur: float, cat: str = "cpu_op", tid: int = 1) -> dict[str, object]:
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": tid, "ts": ts, "dur": dur}


def written(path: Path, *events: dict[str, object]) -> Path:
    path.write_text(json.dumps({"traceEvents": list(events)}))
    return path


def record(path: Path, step: Callable[[], object], steps: int = 3) -> OpWindow:
    mark = torch._C._profiler._RecordFunctionFast("slowprobe.step")
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            with mark:
                step()
    profiler.export_chrome_trace(str(path))
    return read_window(path)


def record_until(bound: str, path: Path, step: Callable[[], object]) -> OpWindow:
    """Records again when another process took the core in between: two tries more."""
    for _ in range(3):
        window = record(path, step, steps=10)
        if window.bound == bound:
            break
    return window


def adds_up(window: OpWindow) -> bool:
    s = window.shares
    return abs(s.work + s.dispatch + s.launch_gap + s.python + s.data + s.engine - 1) < 1e-9


def test_self_times_gaps_and_classes_of_a_known_step(tmp_path):
    path = written(
        tmp_path / "t.json",
        event("aten::warm", -50, 10),
        event("slowprobe.step", 0, 1000),
        event("enumerate(DataLoader)#x", 0, 200, "user_annotation"),
        event("aten::stack", 50, 100),
        event("aten::linear", 210, 100),  # gap 10: a launch
        event("aten::t", 220, 10),
        event("aten::addmm", 235, 60),
        event("Optimizer.step#SGD.step", 500, 100, "user_annotation"),
        event("aten::add_", 510, 80),  # gap 200: Python
        event("aten::mul", 600, 10, tid=2),
    )
    window = read_window(path)
    assert (window.steps, window.step_ms, window.step_basis) == (1, 1.0, "slowprobe.step")
    assert window.launches_per_step == 2 and window.dispatches_per_step == 6
    by_name = {op.name: op for op in window.ops}
    assert "aten::warm" not in by_name, "outside the step"
    assert by_name["aten::linear"].self_ms == pytest.approx(0.030)
    assert by_name["aten::linear"].total_ms == pytest.approx(0.100)
    assert by_name["aten::addmm"].outermost == 0 and by_name["aten::addmm"].total_ms == 0
    by_class = {c.op_class: c.self_ms for c in window.classes}
    assert by_class == pytest.approx(
        {"data": 0.1, "matmul": 0.09, "optimizer": 0.08, "view": 0.01, "elementwise": 0.01}
    )
    assert sum(c.share for c in window.classes) == pytest.approx(1)
    assert window.shares.data == pytest.approx(0.2)
    assert window.shares.launch_gap == pytest.approx(0.010)
    assert window.shares.python == pytest.approx(0.200 + 0.410)
    assert adds_up(window)
    assert window.overhead_basis == "default"
    assert window.durations.time_share_below == {10: 0, 50: 0, 100: pytest.approx(80 / 180), 1000: 1}
    assert window.bound == "python-bound" and "76%" in window.bound_text


def test_a_backward_engine_on_another_thread_is_no_python_gap(tmp_path):
    path = written(
        tmp_path / "t.json",
        event("slowprobe.step", 0, 1000),
        event("aten::mm", 0, 100),
        event("autograd::engine::evaluate_function: MmBackward0", 100, 400, tid=2),
        event("autograd::engine::evaluate_function: MmBackward0", 500, 400, tid=2),
    )
    window = read_window(path)
    assert window.shares.engine == pytest.approx(0.8)
    assert window.shares.python == pytest.approx(0.1)
    assert window.bound == "op-bound" and adds_up(window)


def test_without_step_marks_the_whole_trace_is_one_step(tmp_path):
    window = read_window(written(tmp_path / "t.json", event("aten::mm", 5, 100), event("aten::mm", 105, 100)))
    assert (window.steps, window.step_basis, window.step_ms) == (1, "whole", 0.2)


def test_a_child_that_outlives_its_parent_by_a_rounding_is_still_its_child(tmp_path):
    path = written(tmp_path / "t.json", event("aten::linear", 0, 10), event("aten::addmm", 4, 6.003))
    tree = build_tree(read_trace(path))
    assert tree.parent == [-1, 0] and tree.self_ns == [4000, 6003]


def test_a_trace_without_operators_is_refused(tmp_path):
    with pytest.raises(TraceError, match="no operators"):
        read_window(written(tmp_path / "t.json", event("k", 0, 1, "kernel")))


def test_batching_keeps_the_work_and_one_fixed_cost_an_operator():
    assert batched_ns([("a", 10, 3)] * 100 + [("b", 5, 5)] * 10) == 100 * 7 + 3 + 5
    assert batched_ns([("a", 10, 3)]) == 10
    assert batched_ns([]) == 0


@pytest.mark.parametrize(
    ("name", "op_class"),
    [
        ("aten::addmm", "matmul"),
        ("aten::convolution_backward", "convolution"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu_backward", "attention"),
        ("aten::mul_", "elementwise"),
        ("aten::threshold_backward", "elementwise"),
        ("aten::_softmax_backward_data", "elementwise"),
        ("aten::native_layer_norm_backward", "normalisation"),
        ("aten::sum", "reduction"),
        ("aten::embedding_dense_backward", "indexing"),
        ("aten::_index_put_impl_", "indexing"),
        ("aten::lstm", "rnn"),
        ("aten::copy_", "copy"),
        ("aten::cat", "copy"),
        ("aten::as_strided", "view"),
        ("aten::empty_strided", "allocation"),
        ("aten::dropout", "random"),
        ("aten::nll_loss_backward", "loss"),
        ("aten::_foreach_add_", "elementwise"),
        ("aten::_fused_adam_", "optimizer"),
        ("autograd::engine::evaluate_function: AddmmBackward0", "autograd"),
        ("torch::autograd::AccumulateGrad", "autograd"),
        ("Torch-Compiled Region: 0/0", "compiled"),
        ("mylib::frobnicate", "other"),
    ],
)
def test_classes_by_name(name, op_class):
    assert classify(name) == op_class


def test_a_loop_of_tiny_operators_is_dispatch_bound(tmp_path):
    parameters = [torch.zeros(16) for _ in range(100)]

    def step() -> None:
        for p in parameters:
            p.add_(1.0)

    window = record_until("dispatch-bound", tmp_path / "t.json", step)
    assert window.steps == 10 and window.launches_per_step == 100
    assert next(op for op in window.ops if op.name == "aten::add_").count == 100
    starting = window.shares.dispatch + window.shares.launch_gap
    assert starting > 0.25, window.bound_text  # alone more than half; another process in between counts as work
    assert window.overhead_basis == "measured" and 0.05 < window.dispatch_overhead_us < 5
    assert window.launch_cost_us >= window.dispatch_overhead_us
    assert window.durations.count_share_below[50] > 0.9
    assert adds_up(window)


def test_large_matmuls_are_op_bound_and_backward_counts(tmp_path):
    a = torch.randn(384, 384, requires_grad=True)

    def step() -> None:
        (a @ a @ a).sum().backward()
        a.grad = None

    window = record_until("op-bound", tmp_path / "t.json", step)
    counts = {op.name: op.count for op in window.ops}
    assert counts["aten::mm"] == 2 + 4, "two forward, and two backward for each"
    assert window.bound == "op-bound", window.bound_text
    assert window.classes[0].op_class == "matmul" and window.classes[0].share > 0.5
    assert adds_up(window)


def test_python_between_operators_is_python_bound(tmp_path):
    a = torch.ones(4)

    def step() -> None:
        a.add(1.0)
        time.sleep(0.003)

    window = record(tmp_path / "t.json", step)
    assert window.bound == "python-bound" and window.shares.between_ops > 0.9


def test_operators_inside_an_lstm_are_rnn_time_and_self_times_add_up_to_outermost(tmp_path):
    lstm, x = torch.nn.LSTM(16, 16), torch.randn(5, 2, 16)
    path = tmp_path / "t.json"
    window = record(path, lambda: lstm(x))
    assert window.classes[0].op_class == "rnn" and window.classes[0].share > 0.8
    tree = build_tree(read_trace(path))
    outermost = [i for i, root in enumerate(tree.root) if root == i]
    assert sum(tree.self_ns) == pytest.approx(sum(tree.duration_ns[i] for i in outermost), rel=1e-3)
    assert sum(op.total_ms for op in window.ops) == pytest.approx(sum(op.self_ms for op in window.ops), rel=1e-3)

"""Shapes of the annotated step joined to the clean window's times."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from slowprobe.run.kernels import Kernel, Kernels
from slowprobe.timeline.kernel_work import kernel_work

FORWARD = Kernel("aten::addmm", [8, 100], [100, 50], "float")
WEIGHT = Kernel("aten::mm", [50, 8], [8, 100], "float")
INPUT = Kernel("aten::mm", [8, 50], [50, 100], "float")


def tree(*steps: list[tuple[str, float, str]], step_ms: float = 10.0) -> SimpleNamespace:
    """Operators of each step as (name, ms, what it runs in: an outermost operator's name)."""
    rows = [(number, *op) for number, step in enumerate(steps) for op in step]
    names, duration, parent, root, step_of = [], [], [], [], []
    for number, name, ms, around in rows:
        if around:
            names.append(around)
            duration.append(int(ms * 1e6))
            parent.append(-1)
            root.append(len(root))
            step_of.append(number)
        names.append(name)
        duration.append(int(ms * 1e6))
        parent.append(len(names) - 2 if around else -1)
        root.append(len(names) - 2 if around else len(names) - 1)
        step_of.append(number)
    bounds = [SimpleNamespace(start_ns=0, end_ns=int(step_ms * 1e6)) for _ in steps]
    return SimpleNamespace(names=names, duration_ns=duration, parent=parent, root=root, step_of=step_of, steps=bounds)


BACKWARD = "autograd::engine::evaluate_function: AddmmBackward0"
STEP = [("aten::addmm", 1.0, "aten::linear"), ("aten::mm", 2.0, BACKWARD), ("aten::mm", 3.0, BACKWARD)]
SHAPES = Kernels(distinct=[FORWARD, INPUT, WEIGHT], order=[0, 1, 2])


def test_a_product_and_its_gradients_are_one_layer():
    work = kernel_work(SHAPES, tree(STEP, STEP), {})
    (layer,) = work.layers
    assert (layer.forward_ms, layer.backward_ms, layer.calls) == (1.0, 5.0, 1)
    assert layer.gflop == pytest.approx(3 * 2 * 8 * 100 * 50 / 1e9)
    assert work.share == pytest.approx(0.6) and work.gflops == pytest.approx(layer.gflop / 6e-3)
    assert layer.trial is None and work.reach_gflops is None and work.tried_share == 0.0


def test_trials_belong_to_the_layer_of_their_number():
    costs = {"kernel.0.now_ms": 4.0, "kernel.0.gflop": 0.4, "kernel.0.bf16_ms": 2.0, "kernel.0.twice_ms": 6.0}
    work = kernel_work(SHAPES, tree(STEP), {**costs, "reach.gflops": 90.0})
    trial = work.layers[0].trial
    assert (trial.bf16, trial.channels_last, trial.twice) == (0.5, None, 0.75)
    assert work.reach_gflops == pytest.approx(100.0) and work.tried_share == 1.0


def test_steps_with_other_operators_are_left_out():
    other = [("aten::addmm", 9.0, "aten::linear")]
    assert kernel_work(SHAPES, tree(other, STEP), {}).layers[0].forward_ms == 1.0
    assert kernel_work(SHAPES, tree(other, other), {}) is None


def test_flops_of_a_convolution_count_its_output():
    kernel = Kernel("aten::convolution", [8, 32, 32, 32], [64, 32, 3, 3], "float", [2, 2], [0, 0], [1, 1], [0, 0])
    assert kernel.flops == 2 * 8 * 64 * 15 * 15 * 32 * 9
    transposed = Kernel(
        "aten::convolution", [8, 64, 15, 15], [64, 32, 3, 3], "float", [2, 2], [0, 0], [1, 1], [0, 0], True
    )
    assert transposed.flops == kernel.flops

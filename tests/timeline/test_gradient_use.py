from __future__ import annotations

import pytest

from slowprobe.run.gradient_record import GradientUse
from slowprobe.timeline.gradient_use import wasted_backward

NAMES = ["AddmmBackward0", "ReluBackward0", "torch::autograd::AccumulateGrad"]
USE = GradientUse(
    at_ns=0,
    passes=1,
    parameters=2,
    subjects=[7],
    names=NAMES,
    nodes=[[2, 2, 0, 1, 0]],
    fates=[[0, 2, 1, 2, 2]],
    wasted=[("Net.backbone", "unowned", 1, 100)],
)


def test_each_node_weighs_what_it_took_at_its_place() -> None:
    times = {"AddmmBackward0": [[2.0, 6.0], [2.0, 8.0]], "ReluBackward0": [[0.5], [0.5]], NAMES[2]: [[0.1, 0.4]] * 2}
    wasted = wasted_backward(USE, times)
    total = 2.0 + 7.0 + 0.5 + 0.5
    assert wasted.expected == pytest.approx((1.0 + 7.0 + 0.5 + 0.25) / total)
    assert wasted.low == pytest.approx((0.8 + 7.0 + 0.5 + 0.25) / total)
    assert wasted.by_subject == {7: pytest.approx(wasted.expected)}
    assert wasted.basis == "times"


def test_where_the_profiled_steps_had_other_nodes_all_of_a_name_weigh_the_same() -> None:
    times = {"AddmmBackward0": [[2.0, 6.0, 4.0]], "ReluBackward0": [[1.0]], NAMES[2]: [[0.5, 0.5]]}
    wasted = wasted_backward(USE, times)
    assert wasted.expected == pytest.approx((3.0 + 6.0 + 1.0 + 0.5) / 14.0)


def test_without_a_window_nodes_are_counted() -> None:
    wasted = wasted_backward(USE, {})
    assert wasted.basis == "counts"
    assert wasted.expected == pytest.approx(3.5 / 5)

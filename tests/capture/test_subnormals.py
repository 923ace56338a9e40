"""Subnormal numbers are counted by their bits, kept where there are some, and stepped again."""

from __future__ import annotations

import pytest
import torch

from slowprobe.capture.recorder import Recorder
from slowprobe.capture.subnormals import FIRST_STEP, SubnormalWatch, flushes, subnormal

TINY = 1e-40


def look(optimizer: torch.optim.Optimizer, steps: int = FIRST_STEP, watch: SubnormalWatch | None = None):
    watch = watch or SubnormalWatch(Recorder(), 1)
    for _ in range(steps):
        watch.step(optimizer, 7)
    return watch


def adam(size: int = 1000, **settings) -> tuple[torch.nn.Parameter, torch.optim.Adam]:
    param = torch.nn.Parameter(torch.ones(size))
    param.grad = torch.full_like(param, 1e-3)
    optimizer = torch.optim.Adam([param], lr=1e-3, **settings)
    optimizer.step()
    return param, optimizer


@pytest.mark.parametrize(("dtype", "tiny"), [(torch.float32, 1e-40), (torch.float64, 1e-310)])
def test_only_subnormal_numbers_count(dtype, tiny):
    values = torch.tensor([0.0, -0.0, 1.0, tiny, -tiny, torch.finfo(dtype).tiny, float("inf"), float("nan")])
    values = torch.tensor(values.tolist(), dtype=dtype)
    values[3], values[4] = tiny, -tiny
    assert subnormal(torch, values) == 2


def test_state_that_has_faded_is_seen_and_stepped_again_without_touching_it():
    param, optimizer = adam()
    state = optimizer.state[param]
    state["exp_avg_sq"][:500] = TINY
    before = {name: value.clone() for name, value in state.items()}
    values = look(optimizer).values(0.05)
    assert values["subnormal.7.state"] == pytest.approx(0.25)
    assert values["subnormal.7.weights"] == 0.0
    assert values["subnormal.7.since"] == FIRST_STEP / 2
    assert values["subnormal.7.now_ms"] > 0 and values["subnormal.7.flushed_ms"] > 0
    assert all(torch.equal(value, before[name]) for name, value in optimizer.state[param].items())
    assert not flushes(torch)


def test_usual_numbers_keep_nothing():
    _, optimizer = adam()
    watch = look(optimizer)
    assert not watch.readings[7].samples
    values = watch.values(0.05)
    assert "subnormal.7.now_ms" not in values and values["subnormal.7.state"] == 0.0


def test_a_matrix_of_faded_weights_is_multiplied():
    weight = torch.nn.Parameter(torch.full((64, 64), TINY))
    weight.grad = torch.zeros_like(weight)
    values = look(torch.optim.SGD([weight], lr=0.1)).values(0.05)
    assert values["subnormal.7.weights_with"] == 1.0
    assert values["subnormal.7.product_now_ms"] > 0


def test_readings_get_rarer_and_remember_when_they_began():
    param, optimizer = adam()
    watch = look(optimizer, 40)
    optimizer.state[param]["exp_avg_sq"].fill_(TINY)
    look(optimizer, 60, watch)
    assert watch.values(0.01)["subnormal.7.since"] == (32 + 48) / 2
    assert watch.values(0.01)["subnormal.7.read_at"] == 72


def test_an_optimizer_of_another_kind_is_counted_and_not_tried():
    class Mine(torch.optim.Optimizer):
        def step(self, closure=None): ...

    param = torch.nn.Parameter(torch.full((100,), TINY))
    param.grad = torch.zeros_like(param)
    values = look(Mine([param], {"lr": 0.1})).values(0.01)
    assert values["subnormal.7.weights"] == 1.0 and "subnormal.7.now_ms" not in values


def test_sparse_gradients_and_other_devices_are_left_out():
    table = torch.nn.Embedding(10, 4, sparse=True)
    table(torch.tensor([1])).sum().backward()
    optimizer = torch.optim.SGD(table.parameters(), lr=0.1)
    assert look(optimizer).values(0.01) == {"subnormal.flushing": 0.0, "subnormal.7.read_at": float(FIRST_STEP)}

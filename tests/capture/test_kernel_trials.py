"""Shapes read from a real profiler window, and trials on them that stay within their time and change nothing."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from slowprobe.capture.kernel_shapes import KernelTimes
from slowprobe.capture.kernel_trials import _cut, budget_s, run_trials, trials
from slowprobe.run.kernels import Kernel


def recorded(channels_last: bool = False) -> KernelTimes:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3, stride=2), nn.Flatten(), nn.Linear(16 * 6 * 6, 10))
    x = torch.randn(4, 3, 16, 16)
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    with torch.profiler.profile(record_shapes=True) as profiler:
        net(x).sum().backward()
    return KernelTimes(profiler.profiler.kineto_results.events())


def test_every_product_is_seen_once_with_its_settings() -> None:
    times = recorded()
    seen = [times.distinct[number] for number in times.order]
    convolutions = [kernel for kernel in seen if kernel.is_convolution]
    assert [kernel.left for kernel in convolutions] == [[4, 3, 16, 16], [4, 8, 14, 14], [4, 8, 14, 14], [4, 3, 16, 16]]
    assert [kernel.products for kernel in convolutions] == [1, 1, 2, 1]  # the first layer's input needs no gradient
    assert convolutions[1].stride == [2, 2] and not convolutions[1].channels_last
    assert len({kernel.layer for kernel in seen}) == 3 and min(times.spent_ns) > 0
    assert sum(kernel.name in ("aten::mm", "aten::addmm") for kernel in seen) == 3


def test_channels_last_is_seen() -> None:
    times = recorded(channels_last=True)
    assert all(kernel.channels_last for kernel in times.distinct if kernel.is_convolution)


@pytest.mark.parametrize("bf16", [False, True])
def test_trials_keep_to_their_time_and_leave_random_numbers_alone(bf16: bool) -> None:
    times = recorded()
    state, enabled = torch.get_rng_state(), torch.is_autocast_enabled("cpu")
    calls = [times.order.count(number) for number in range(len(times.distinct))]
    begin = time.perf_counter()
    values = run_trials(trials(times.distinct, times.spent_ns, calls, bf16), 0.3)
    assert time.perf_counter() - begin < 5.0
    assert torch.equal(torch.get_rng_state(), state) and torch.is_autocast_enabled("cpu") == enabled
    assert values["reach.gflops"] > 0
    assert any(name.endswith("now_ms") for name in values)
    assert any(name.endswith("bf16_ms") for name in values) == bf16


def test_a_batch_is_cut_to_its_time_and_to_memory() -> None:
    kernel = Kernel("aten::mm", [64, 100], [100, 100], "float")
    assert _cut(kernel, 1.0) == (64, False)
    assert _cut(kernel, 0.25) == (16, True)
    assert _cut(kernel, 0.0) == (1, True)
    huge = Kernel("aten::mm", [64, 1_000_000], [1_000_000, 2], "float")
    assert _cut(huge, 1.0)[0] < 64


def test_the_time_is_a_part_of_the_recording_within_bounds() -> None:
    assert budget_s(1.0, False) < budget_s(30.0, False) < budget_s(3600.0, False) == budget_s(7200.0, False)
    assert budget_s(3600.0, True) < budget_s(1.0, False)


def test_of_no_products_nothing_is_tried() -> None:
    assert trials([], [], [], True) == []

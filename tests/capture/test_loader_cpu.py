"""The CPU time of batches and steps, from clocks read around some requests."""

from __future__ import annotations

import time

import torch

from slowprobe.capture.calibration import calibrate
from slowprobe.capture.loader_cpu import LoaderCpuMeter


def _busy(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_waiting_and_working_batches_are_told_apart() -> None:
    meter = LoaderCpuMeter()
    for _ in range(3):
        meter.request(1)
        time.sleep(0.002)
        meter.arrival(1, [torch.zeros(2), torch.zeros(2)])
        _busy(0.002)
        meter.request(1)
    (read,) = meter.take()
    assert read.loader == 1
    assert (read.waits, read.steps) == (3, 3)
    assert read.wait_cpu_ns < 0.5 * read.wait_ns
    assert read.step_cpu_ns >= 3 * 2_000_000
    assert meter.tensors == {1: 2}
    assert meter.take() == []


def test_a_step_between_two_loaders_counts_for_neither() -> None:
    meter = LoaderCpuMeter()
    for number in range(4):
        meter.request(number % 2)
        meter.arrival(number % 2, None)
    assert sum(read.steps for read in meter.take()) == 0


def test_the_hand_over_of_a_batch_is_measured_without_leaving_a_thread() -> None:
    import threading

    before = threading.active_count()
    values = calibrate({}, {7: (2, 0.5), 8: (2, 0.001)}, torch.get_num_threads(), torch.get_num_threads())
    assert set(values) == {"loader.7.hand_over_ms", "page_us"}
    assert values["loader.7.hand_over_ms"] > 0 and 0.01 < values["page_us"] < 1000
    assert threading.active_count() == before

"""The experiments after a recording: how long they may take, and that replicas stand for all they replace."""

from __future__ import annotations

import functools
import time
from typing import Any

import pytest
import torch

from slowprobe.capture import calibration, medians, memory_trials, optimizer_trials
from slowprobe.capture.calibration import MAX_BUDGET_S, MIN_BUDGET_S, budget_s, calibrate


def described(sizes: list[int], name: str = "AdamW") -> dict[str, Any]:
    return {
        "class": name,
        "module": "torch.optim.adamw",
        "device": "cpu",
        "dtypes": "torch.float32",
        "params": len(sizes),
        "sizes": sizes,
    }


@pytest.mark.parametrize(
    ("elapsed_s", "goes_on", "expected"),
    [(1, False, MIN_BUDGET_S), (20, False, 0.2), (3_600, False, MAX_BUDGET_S), (3_600, True, MIN_BUDGET_S)],
)
def test_budget_is_a_hundredth_of_the_recording_within_bounds(elapsed_s: float, goes_on: bool, expected: float) -> None:
    assert budget_s(elapsed_s, goes_on) == pytest.approx(expected)


def test_a_replica_has_as_many_elements_a_tensor_as_the_whole() -> None:
    sizes = [50_000, *([100] * 899), *([10] * 100)]
    replica, times = optimizer_trials._replica({"sizes": sizes}, time.perf_counter() + 10)
    assert len(replica) <= optimizer_trials.MAX_TENSORS
    assert sum(replica) * times == pytest.approx(sum(sizes), rel=0.01)
    assert len(replica) * times == pytest.approx(len(sizes))
    assert optimizer_trials._replica({"sizes": [7, 3]}, 0.0)[1] == 1.0
    assert optimizer_trials._replica({"sizes": []}, 0.0)[0] == []


def test_values_are_those_of_all_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the tensors is stepped; what comes out is what all of them would take."""
    monkeypatch.setattr(optimizer_trials, "medians_ms", lambda until, *runs: [float(len(runs))] * len(runs))
    values = calibrate({4: (described([64] * 1_000), 0.5)}, {}, 2, 2, 10.0)
    assert values["optimizer.4.default_ms"] == values["optimizer.4.fused_ms"] == 20.0
    assert (values["foreach.loop_ms"], values["foreach.tensors"]) == (30.0, 1_000.0)


def test_an_optimizer_of_the_users_own_is_compared_with_torchs_fused_adam() -> None:
    own = {**described([64] * 300, "PaperAdam"), "module": "__main__"}
    values = calibrate({4: (own, 0.5)}, {}, 2, 2, 0.2)
    assert values["optimizer.4.adam_fused_ms"] > 0
    assert "optimizer.4.default_ms" not in values
    assert "optimizer.4.adam_fused_ms" not in calibrate({4: ({**own, "device": "cuda"}, 0.5)}, {}, 2, 2, 0.2)


def test_the_experiments_share_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets an equal part of what is left, most important first; those whose time never comes are left out."""
    clock, given = [0.0], []

    def experiment(name: str, takes: float) -> calibration.Experiment:
        def run(until: float) -> dict[str, float]:
            given.append(round(until - clock[0], 3))
            clock[0] += takes
            return {name: takes}

        return run

    found = [experiment("a", 0.05), experiment("b", 0.3), experiment("c", 0.1)]
    monkeypatch.setattr(calibration, "_called_for", lambda *arguments: found)
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: clock[0])
    assert calibrate({}, {}, 1, 1, 0.3) == {"a": 0.05, "b": 0.3}
    assert given == [0.1, 0.125]


def test_what_all_operators_wait_for_is_tried_first() -> None:
    """Other threads than cores: trials of memory took the time that this had."""
    every = {"pages": True, "fresh": True, "anomaly": True}
    first = calibration._called_for(torch, {4: (described([64] * 200), 0.5)}, {}, 1, 2, **every)[0]
    assert isinstance(first, functools.partial) and first.func is calibration._threads


def test_a_slow_machine_still_gives_one_round() -> None:
    calls: list[str] = []
    assert len(medians.medians_ms(0.0, lambda: calls.append("a"), lambda: calls.append("b"))) == 2
    assert calls == ["a", "b", "a", "b"]


def test_the_runs_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    calibrate({1: (described([64] * 200), 0.5)}, {2: (3, 0.5)}, threads, threads + 1, 0.1)
    assert torch.get_num_threads() == threads and torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.skipif(not memory_trials.is_glibc(), reason="another C library")
def test_a_page_fault_has_a_price_and_memory_that_is_kept_has_none(monkeypatch) -> None:
    values = memory_trials.fresh_memory(torch, time.perf_counter() + 1)
    assert 0 <= values["memory.fault_us"] < 1000
    monkeypatch.setattr(memory_trials, "minor_faults", lambda: 7)  # an allocator that never asks the system
    assert memory_trials.fresh_memory(torch, 0.0) == {"memory.fault_us": 0.0}

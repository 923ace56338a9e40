"""Predictions from a recorded loader: its settings, its curve, and what limits it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slowprobe.timeline.batch_costs import BatchCosts
from slowprobe.timeline.input_curve import MOST, WORTHWHILE, input_curve, most_workers
from slowprobe.timeline.loader_model import FORK_S, LoaderModel, Plan
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import GONE, Factor, Reload, faster
from slowprobe.timeline.pipeline import HandOver, Settings, simulate
from slowprobe.timeline.replay import planned
from slowprobe.timeline.sharing import Cores
from slowprobe.timeline.uncontended import Machine


def loader(make, consume, wait=None, *, workers=0, passes=1, share=1.0, persistent=True, first=None) -> LoaderFacts:
    made, step = np.array(make, dtype=float), np.array(consume, dtype=float)
    waits = made if wait is None else np.array(wait, dtype=float)
    begins = np.arange(len(waits)) % max(1, len(waits) // passes) == 0 if first is None else np.array(first)
    return LoaderFacts(
        id=1,
        name="DataLoader",
        where=None,
        role="training",
        primary=True,
        batches=len(waits),
        passes=passes,
        num_workers=workers,
        batch_size=8,
        prefetch_factor=2,
        persistent_workers=persistent,
        start_method=None,
        iterable=False,
        length=None,
        watched=False,
        collate_name="default_collate",
        wait_s=float(waits.sum()),
        start_s=0.0,
        fetch_s=float(made.sum()),
        collate_s=0.0,
        fetch=made,
        collate=np.zeros(len(made)),
        cpu_share=share,
        wait=waits,
        first=begins,
        consume=step,
    )


def model(facts: LoaderFacts, cores: float = 16, step_cores: float = 1.0, threads: int = 1) -> LoaderModel:
    costs = BatchCosts(facts.fetch, facts.collate, facts.fetch * facts.cpu_share)
    return LoaderModel(facts, costs, Machine(cores, step_cores, threads))


def with_workers(recorded: Plan, workers: int) -> Plan:
    return replace(recorded, settings=replace(recorded.settings, num_workers=workers))


def test_the_recorded_setting_is_predicted_as_it_was() -> None:
    recorded = model(loader([0.020] * 100, [0.010] * 100))
    assert recorded.period_s(recorded.recorded) == pytest.approx(0.030)


def test_enough_workers_hide_the_batches_and_the_step_is_the_limit() -> None:
    recorded = model(loader([0.020] * 400, [0.010] * 400))
    curve = input_curve(recorded, most_workers(recorded, None))
    assert curve.present == 0
    assert curve.recommended == 2
    assert curve.limit == "step"
    assert curve.at(2).expected_s == pytest.approx(0.0107, abs=0.0004)
    assert 2.6 < curve.speedup < 3.0
    assert all(point.low_s <= point.expected_s <= point.high_s for point in curve.points)
    best = min(point.expected_s for point in curve.points)
    assert curve.at(curve.recommended).expected_s <= best * WORTHWHILE


def test_a_full_machine_is_limited_by_its_cores() -> None:
    recorded = model(loader([0.020] * 200, [0.010] * 200), cores=1)
    curve = input_curve(recorded, 4)
    assert curve.limit == "cores"
    assert curve.recommended == 0


def test_batches_that_wait_for_storage_need_no_cores() -> None:
    recorded = model(loader([0.080] * 400, [0.015] * 400, share=0.02), cores=2)
    curve = input_curve(recorded, most_workers(recorded, None))
    assert curve.recommended >= 5
    assert curve.limit == "step"
    few = input_curve(recorded, 4)
    assert few.recommended == 4
    assert few.limit == "storage"


def test_tiny_batches_are_not_worth_a_hand_over() -> None:
    curve = input_curve(model(loader([0.0002] * 300, [0.002] * 300)), 4)
    assert curve.recommended == 0
    assert curve.limit == "hand-over"


def test_memory_limits_the_workers_that_are_tried() -> None:
    recorded = model(loader([0.200] * 100, [0.010] * 100), cores=64)
    assert most_workers(recorded, None) == 26
    assert most_workers(recorded, 1_000_000_000) == 4
    assert most_workers(model(loader([1.0] * 100, [0.01] * 100, share=0.0)), None) == MOST


def test_kept_items_cost_nothing_from_the_second_pass_on() -> None:
    recorded = model(loader([0.020] * 100, [0.010] * 100, passes=5))
    kept = planned(recorded.recorded, Reload(1, cached=Factor(1.0, 0.75, 0.5)), "expected")
    assert kept.cached == 0.75
    assert recorded.period_s(kept) == pytest.approx(0.010 + 0.020 * (1 + 4 * 0.25) / 5)


def test_a_faster_transform_scales_its_part_of_a_batch() -> None:
    recorded = model(loader([0.020] * 100, [0.010] * 100))
    change = Reload(1, fetch=faster(share=0.5, times=4))
    assert recorded.period_s(planned(recorded.recorded, change, "expected")) == pytest.approx(0.010 + 0.020 * 0.625)
    gone = Reload(1, fetch=GONE)
    assert recorded.period_s(planned(recorded.recorded, gone, "expected")) == pytest.approx(0.010)


def test_new_workers_each_pass_cost_their_start() -> None:
    recorded = model(loader([0.002] * 100, [0.010] * 100, passes=10))
    kept = with_workers(recorded.recorded, 4)
    anew = replace(kept, persistent_workers=False)
    assert recorded.period_s(anew) - recorded.period_s(kept) > 0.9 * FORK_S * 4 * 9 / 100


@pytest.mark.parametrize("step_cores", [1.0, 1.7])
@pytest.mark.parametrize("make", [0.009, 0.016, 0.030])
def test_contention_of_the_recording_is_taken_out_again(make: float, step_cores: float) -> None:
    """What is recorded with two workers on two busy cores predicts what a run without workers would be."""
    count, step = 300, 0.012
    cores = Cores(2, step_cores, 2)
    truth = simulate(
        np.full(count, make), np.zeros(count), np.full(count, step), Settings(2), cores, HandOver(0.0005, 0.00025)
    )
    facts = loader(truth.make, truth.consume, truth.wait, workers=2)
    costs = BatchCosts(facts.fetch, facts.collate, np.full(count, make))
    used = step_cores * step * truth.spin / float(truth.consume.mean())
    recorded = LoaderModel(facts, costs, Machine(2, used, 2))
    assert recorded.period_s(with_workers(recorded.recorded, 0)) == pytest.approx(make + step, rel=0.08)


@given(st.lists(st.floats(0.001, 0.05), min_size=20, max_size=60), st.integers(1, 6), st.floats(0.1, 1.0))
@settings(max_examples=25, deadline=None)
def test_cheaper_batches_never_make_the_predicted_step_longer(make, workers: int, left: float) -> None:
    recorded = model(loader(make, [0.010] * len(make)), cores=8)
    plan = with_workers(recorded.recorded, workers)
    lock = HandOver(0.0005)
    cheaper = recorded.period_s(replace(plan, fetch=left), hand_over=lock)
    assert cheaper <= recorded.period_s(plan, hand_over=lock) + 1e-9

"""The model of workers, queue and shared cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slowprobe.timeline.pipeline import HandOver, PassTimes, Settings, simulate
from slowprobe.timeline.sharing import Cores

PLENTY = Cores(available=1e6, step=1.0, threads=1)
SECONDS = st.floats(0.0, 0.1).map(lambda value: round(value, 4))
COSTS = st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=25)
WORKERS = st.integers(1, 5)
PREFETCH = st.integers(1, 4)


def run(make, consume, workers, prefetch=2, cores=PLENTY, hand_over=0.0, in_order=True, idle=None) -> PassTimes:
    cpu = np.array(make, dtype=float)
    none = np.zeros(len(cpu)) if idle is None else np.array(idle, dtype=float)
    plan = Settings(workers, prefetch, in_order)
    return simulate(cpu, none, np.array(consume, dtype=float), plan, cores, HandOver(hand_over))


def by_recurrence(make, consume, workers, prefetch, hand_over=0.0):
    """The queue that keeps order, batch by batch: a worker begins batch i once batch i - workers·prefetch was taken."""
    free, taken, wait, now = [0.0] * workers, [], [], 0.0
    for index, (cost, use) in enumerate(zip(make, consume, strict=True)):
        ahead = index - workers * prefetch
        worker = index % workers
        free[worker] = max(free[worker], taken[ahead] if ahead >= 0 else 0.0) + cost
        arrived = max(now, free[worker]) + hand_over
        wait.append(arrived - now)
        taken.append(arrived)
        now = arrived + use
    return wait


def test_without_workers_each_batch_is_waited_for_in_full() -> None:
    times = run([0.01, 0.02], [0.005, 0.005], 0)
    assert times.wait == pytest.approx([0.01, 0.02])
    assert times.total_s == pytest.approx(0.04)


def test_a_worker_slower_than_the_step_makes_the_loop_wait_for_the_difference() -> None:
    times = run([0.010] * 100, [0.004] * 100, 1)
    assert times.wait[0] == pytest.approx(0.010)
    assert times.wait[10:] == pytest.approx(0.006)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize(("make", "step"), [(0.010, 0.004), (0.030, 0.011), (0.002, 0.009)])
def test_constant_costs_have_the_period_of_the_slower_side(make: float, step: float, workers: int) -> None:
    """The closed form: max(step, make / workers), once the queue has settled."""
    times = run([make] * 400, [step] * 400, workers)
    settled = (times.wait + times.consume)[200 : 200 + 20 * workers]
    assert settled.mean() == pytest.approx(max(step, make / workers))


def test_enough_workers_leave_only_the_hand_over() -> None:
    times = run([0.010] * 100, [0.006] * 100, 4, hand_over=0.001)
    assert times.wait[20:] == pytest.approx(0.001)


def test_batches_stay_in_order_behind_a_slow_one_and_without_order_pass_it() -> None:
    make = [0.001] * 40
    make[10] = 0.5
    ordered, free = (run(make, [0.001] * 40, 2, in_order=in_order) for in_order in (True, False))
    assert ordered.wait[10] > 0.49
    assert ordered.wait[11] == pytest.approx(0.0)
    assert ordered.order == list(range(40))
    assert free.order[10] != 10
    assert sorted(free.order) == list(range(40))
    assert free.total_s < ordered.total_s


def test_pinning_is_a_server_of_its_own_and_a_cost_without_workers() -> None:
    cpu, idle, step = np.full(50, 0.001), np.zeros(50), np.full(50, 0.004)
    slow = simulate(cpu, idle, step, Settings(2, pin_s=0.006), PLENTY)
    assert slow.total_s == pytest.approx(50 * 0.006 + 0.005)
    own = simulate(cpu, idle, step, Settings(0, pin_s=0.006), PLENTY)
    assert own.total_s == pytest.approx(50 * 0.011)


def test_a_worker_that_computes_answers_late_and_one_that_sleeps_at_once() -> None:
    costs, nothing, step = np.full(60, 0.010), np.zeros(60), np.full(60, 0.001)
    lock = HandOver(0.0, lock_s=0.004)
    busy = simulate(costs, nothing, step, Settings(1), PLENTY, lock)
    sleeping = simulate(nothing, costs, step, Settings(1), PLENTY, lock)
    assert busy.wait[0] == pytest.approx(0.014)
    assert sleeping.wait[0] == pytest.approx(0.010)
    assert busy.wait[20:40].mean() == pytest.approx(0.009)  # it is late, but no less is made


@given(COSTS, WORKERS, PREFETCH, st.sampled_from([0.0, 0.0005]))
@settings(max_examples=150, deadline=None)
def test_keeping_order_is_the_recurrence(costs, workers: int, prefetch: int, hand_over: float) -> None:
    make, consume = zip(*costs, strict=True)
    times = run(make, consume, workers, prefetch, hand_over=hand_over)
    assert times.wait == pytest.approx(by_recurrence(make, consume, workers, prefetch, hand_over), abs=1e-9)
    assert times.make == pytest.approx(list(make), abs=1e-9)


@given(COSTS, WORKERS, PREFETCH, st.floats(0.1, 1.0))
@settings(max_examples=100, deadline=None)
def test_faster_batches_never_make_the_loop_slower(costs, workers: int, prefetch: int, factor: float) -> None:
    make, consume = (np.array(each) for each in zip(*costs, strict=True))
    before = run(make, consume, workers, prefetch, hand_over=0.0005).total_s
    assert run(make * factor, consume, workers, prefetch, hand_over=0.0005).total_s <= before + 1e-9


@given(COSTS, WORKERS, PREFETCH)
@settings(max_examples=100, deadline=None)
def test_prefetching_more_never_hurts(costs, workers: int, prefetch: int) -> None:
    make, consume = zip(*costs, strict=True)
    shallow, deep = (run(make, consume, workers, depth, hand_over=0.0005).total_s for depth in (prefetch, prefetch + 1))
    assert deep <= shallow + 1e-9


@given(COSTS, WORKERS, PREFETCH)
@settings(max_examples=60, deadline=None)
def test_batches_for_nothing_cost_their_hand_over(costs, workers: int, prefetch: int) -> None:
    _, consume = zip(*costs, strict=True)
    times = run([0.0] * len(costs), consume, workers, prefetch, hand_over=0.0007)
    assert times.wait == pytest.approx(0.0007)


@given(st.lists(SECONDS, min_size=1, max_size=25), SECONDS, WORKERS, PREFETCH)
@settings(max_examples=150, deadline=None)
def test_giving_up_order_never_waits_longer_at_the_first_batch_and_delivers_all(make, step, workers, prefetch) -> None:
    steps = [step] * len(make)
    ordered, free = (run(make, steps, workers, prefetch, in_order=in_order) for in_order in (True, False))
    assert sorted(free.order) == list(range(len(make)))
    assert free.wait[0] <= ordered.wait[0] + 1e-9
    assert free.total_s <= ordered.total_s + max(make) + 1e-9  # a late start of a long one can cost up to that


@given(COSTS, WORKERS, PREFETCH, st.floats(1.0, 4.0), st.floats(0.0, 1.0))
@settings(max_examples=100, deadline=None)
def test_the_pass_is_its_waits_and_its_steps_and_no_shorter_than_either_side_alone(
    costs, workers, prefetch, step_cores, coupling
) -> None:
    cpu, consume = (np.array(each) for each in zip(*costs, strict=True))
    cores = Cores(2, min(step_cores, 2.0), 2, coupling)
    times = simulate(cpu, cpu[::-1], consume, Settings(workers, prefetch), cores, HandOver(0.0005))
    assert times.total_s == pytest.approx(float(times.wait.sum() + times.consume.sum()))
    assert (times.consume >= consume - 1e-9).all()
    assert (times.make >= cpu + cpu[::-1] - 1e-9).all()
    assert times.total_s >= float(cpu.sum()) / 2 - 1e-9  # two cores make no more than two seconds of work a second
    assert times.total_s >= float(consume.sum()) + 0.0005 * len(cpu) - 1e-9


def test_free_cores_leave_the_step_alone() -> None:
    times = run([0.010] * 100, [0.010] * 100, 2, cores=Cores(available=16, step=1.0, threads=1))
    assert times.consume == pytest.approx(0.010)


def test_sleeping_batches_take_no_core_and_computing_ones_share_them() -> None:
    one_core = Cores(available=1, step=1.0, threads=1)
    asleep = run([0.0] * 100, [0.010] * 100, 4, cores=one_core, idle=[0.010] * 100)
    awake = run([0.010] * 100, [0.010] * 100, 4, cores=one_core)
    assert asleep.consume == pytest.approx(0.010)
    assert awake.total_s == pytest.approx(100 * 0.020, rel=0.01)  # all of it is CPU work: nothing is gained


@pytest.mark.parametrize("step_cores", [1.0, 1.8])
def test_a_full_machine_stretches_the_step_and_more_where_its_threads_wait_for_each_other(step_cores: float) -> None:
    stretch = {
        coupling: float(run([0.008] * 100, [0.010] * 100, 2, cores=Cores(2, step_cores, 2, coupling)).consume.mean())
        for coupling in (0, 1)
    }
    if step_cores > 1:
        assert 0.011 < stretch[0] < stretch[1] < 0.021
    else:
        assert stretch[0] == stretch[1]

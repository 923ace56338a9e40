"""The model of workers, queue and shared cores."""

from __future__ import annotations

import numpy as np
import pytest

from slowprobe.timeline.pipeline import Cores, contended_waits, waits


def test_a_worker_slower_than_the_step_makes_the_loop_wait_for_the_difference() -> None:
    make, consume = np.full(100, 0.010), np.full(100, 0.004)
    wait = waits(make, consume, num_workers=1, prefetch=2, hand_over_s=0.0)
    assert wait[0] == pytest.approx(0.010)
    assert wait[10:] == pytest.approx(0.006)


def test_enough_workers_leave_only_the_hand_over() -> None:
    make, consume = np.full(100, 0.010), np.full(100, 0.006)
    wait = waits(make, consume, num_workers=4, prefetch=2, hand_over_s=0.001)
    assert wait[20:] == pytest.approx(0.001)


def test_batches_stay_in_order_behind_a_slow_one() -> None:
    make, consume = np.full(40, 0.001), np.full(40, 0.001)
    make[10] = 0.5
    wait = waits(make, consume, num_workers=2, prefetch=2, hand_over_s=0.0)
    assert wait[10] > 0.49
    assert wait[11] == pytest.approx(0.0)


def test_free_cores_leave_the_step_alone() -> None:
    make, consume = np.full(100, 0.010), np.full(100, 0.010)
    _, stretch = contended_waits(make, consume, 2, 2, Cores(available=16, step=1.0, batch=1.0))
    assert stretch == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("step_cores", [1.0, 1.8])
def test_a_full_machine_stretches_the_step_and_more_where_its_threads_wait_for_each_other(step_cores: float) -> None:
    make, consume = np.full(100, 0.010), np.full(100, 0.010)
    cores = {
        coupling: contended_waits(make, consume, 2, 2, Cores(2, step_cores, 0.8, coupling))[1] for coupling in (0, 1)
    }
    if step_cores > 1:
        assert 1.1 < cores[0] < cores[1] < 2.1
    else:
        assert cores[0] == cores[1]

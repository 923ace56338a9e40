"""What a step takes without the workers beside it, by trials of its operators after the run."""

from __future__ import annotations

import numpy as np
import pytest

from slowprobe.timeline.batch_costs import BatchCosts
from slowprobe.timeline.op_bound import StepShares
from slowprobe.timeline.pipeline import HandOver, PassTimes, Settings, simulate
from slowprobe.timeline.sharing import Cores
from slowprobe.timeline.step_alone import StepAlone, step_alone
from slowprobe.timeline.uncontended import TRIED, Machine, Shape, undone, with_threads

BATCHES, MAKE_S, STEP_S, OPERATORS = 200, 0.2, 0.004, 0.75


def recorded(held: float, workers: int = 4) -> PassTimes:
    """Batches made by workers on two cores, and a step of operators on two threads that those hold up."""
    cores = Cores(2, 1 + OPERATORS, 2, coupling=0.8, held=held)
    cpu, none, step = np.full(BATCHES, MAKE_S), np.zeros(BATCHES), np.full(BATCHES, STEP_S)
    return simulate(cpu, none, step, Settings(workers), cores, HandOver(0.00075, 0.000375, 0.0015))


def found(times: PassTimes, share: float, workers: int = 4):
    made = times.make
    costs = BatchCosts(made, np.zeros(BATCHES), np.full(BATCHES, MAKE_S))
    machine = Machine(2, 1.0, 2, StepAlone(share, OPERATORS * STEP_S / TRIED["expected"], 1.2))
    return undone(costs, times.consume, machine, Shape(Settings(workers), BATCHES, 1), "expected")


@pytest.mark.parametrize("held", [1.0, 3.0, 8.0])
def test_what_workers_cost_the_step_is_found_again(held: float) -> None:
    times = recorded(held)
    serial = (1 - OPERATORS) * STEP_S * 2.5  # beside four workers on two cores
    alone = found(times, 1 - serial / float(times.consume.mean()))
    assert float(alone.consume.mean()) == pytest.approx(STEP_S, rel=0.1)
    assert alone.cores.held == pytest.approx(held, rel=0.25)


def test_one_thread_takes_what_was_tried_and_is_not_held_up() -> None:
    alone = found(recorded(6.0), 0.95)
    single = with_threads(alone, 1, "expected")
    operators = OPERATORS * STEP_S
    assert float(single.consume.mean()) - float(alone.consume.mean()) == pytest.approx(0.2 * operators, rel=0.05)
    crowded, free = single.cores.stretch("stepping", [1.0]), alone.cores.stretch("stepping", [1.0])
    assert crowded.loop == pytest.approx(1.0) and free.loop > 3


MEASURED = {"now": 2.0, "edited": 3.0, "tried": 12.0, "all": 18.0}
SHARES = StepShares(work=0.25, dispatch=0.05, launch_gap=0.1, python=0.1, data=0.4, engine=0.1)


def tried(**changed: float) -> dict[str, float]:
    return {f"operators.alone.{name}_ms": value for name, value in {**MEASURED, **changed}.items()}


def test_operators_are_held_against_the_work_of_the_step() -> None:
    """Four tenths of the steps were waits for batches."""
    alone = step_alone(tried(), SHARES)
    assert alone is not None
    assert alone.share == pytest.approx(0.4 / 0.6)
    assert alone.operators_s == pytest.approx(0.002 * 18 / 12)
    assert alone.single == pytest.approx(1.5)


def test_without_a_trial_nothing_is_known() -> None:
    assert step_alone({}, SHARES) is None
    assert step_alone(tried(tried=1.0), SHARES) is None

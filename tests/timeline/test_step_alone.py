"""What a step takes without the workers beside it, by trials of its operators after the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slowprobe.run.reader import RunRecords
from slowprobe.run.schema import Spans, Window
from slowprobe.timeline.batch_costs import BatchCosts
from slowprobe.timeline.pipeline import HandOver, PassTimes, Settings, simulate
from slowprobe.timeline.recording import KIND, Recording
from slowprobe.timeline.sharing import Cores
from slowprobe.timeline.step_alone import StepAlone, step_alone
from slowprobe.timeline.uncontended import Machine, Shape, undone, with_threads

BATCHES, MAKE_S, STEP_S, OPERATORS = 200, 0.2, 0.004, 0.75


def recorded(held: float, workers: int = 4) -> PassTimes:
    """Batches made by workers on two cores, and a step of operators on two threads that those hold up."""
    cores = Cores(2, 1 + OPERATORS, 2, coupling=0.8, held=held)
    cpu, none, step = np.full(BATCHES, MAKE_S), np.zeros(BATCHES), np.full(BATCHES, STEP_S)
    return simulate(cpu, none, step, Settings(workers), cores, HandOver(0.00075, 0.000375, 0.0015))


def found(times: PassTimes, share: float, workers: int = 4):
    made = times.make
    costs = BatchCosts(made, np.zeros(BATCHES), np.full(BATCHES, MAKE_S))
    machine = Machine(2, 1.0, 2, StepAlone(share, OPERATORS * STEP_S, 1.2))
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


MS = 1_000_000
TRIED = {"now": 2.0, "edited": 3.0, "tried": 12.0, "all": 18.0}


def annotated(*spans: tuple[str, int, int]) -> Recording:
    """An annotated step from 100 to 140 ms, with these spans: kind, start and end in ms."""
    window = Window(
        role="annotated",
        opened_ns=90 * MS,
        start_ns=100 * MS,
        end_ns=140 * MS,
        resumed_ns=150 * MS,
        steps=1,
        events=9,
        path=None,
    )
    kinds, begins, lengths = zip(*((KIND[kind], b * MS, (e - b) * MS) for kind, b, e in spans), strict=True)
    rows = Spans(0, 0, [*kinds], [1] * len(spans), [*begins], [*lengths], [*lengths], [0] * len(spans))
    return Recording(RunRecords(Path("/nowhere"), None, [window, rows]))


def tried(**changed: float | None) -> dict[str, float]:
    values = {**TRIED, **changed}
    return {f"operators.alone.{name}_ms": value for name, value in values.items() if value is not None}


def test_operators_are_held_against_the_work_of_the_step() -> None:
    """Of 40 ms 16 were a wait, the end of another before them."""
    recording = annotated(("data_wait", 95, 110), ("forward", 110, 130), ("data_wait", 134, 145))
    alone = step_alone(recording, tried(), 2.0)
    assert alone is not None
    assert alone.share == pytest.approx(18 / 24)
    assert alone.operators_s == pytest.approx(0.002 * 18 / 12 / 2)
    assert alone.single == pytest.approx(1.5)


def test_without_a_trial_nothing_is_known() -> None:
    recording = annotated(("forward", 110, 130))
    assert step_alone(recording, {}, 1.0) is None
    assert step_alone(recording, tried(tried=1.0), 1.0) is None
    assert step_alone(Recording(RunRecords(Path("/nowhere"), None, [])), tried(), 1.0) is None

"""What a pause costs the step after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import SyntheticRun

from slowprobe.timeline.loop_changes import Factor, Reload
from slowprobe.timeline.pauses import MOST, Pauses, pauses_of

COSTS = {"pause.0_ms": 0.3, "pause.1_ms": 0.36, "pause.10_ms": 0.9, "page_us": 1.0}


def test_the_stand_in_itself_loses_what_was_measured() -> None:
    pauses = pauses_of(COSTS)
    assert pauses.after(np.array([0.0003]), 0.010) == pytest.approx([0.0009])
    assert pauses.after(np.array([0.0003]), 0.0055) == pytest.approx([0.0003 + 0.00033])
    assert pauses.after(np.array([0.0003]), 5.0) == pytest.approx([0.0009])


def test_a_long_step_loses_a_bounded_time() -> None:
    lost = pauses_of(COSTS).after(np.array([1.0]), 0.010)[0] - 1.0
    assert lost == pytest.approx(MOST * 0.0006, rel=0.01)


@pytest.mark.parametrize("step_s", [0.0, 0.00001, 0.0003, 0.005, 1.0])
def test_without_is_the_inverse_of_after(step_s: float) -> None:
    pauses = pauses_of(COSTS)
    assert pauses.without(pauses.after(np.array([step_s]), 0.004), 0.004) == pytest.approx([step_s])


def test_untried_pauses_cost_nothing() -> None:
    steps = np.array([0.0, 0.01])
    for pauses in (Pauses(), pauses_of({"page_us": 1.0})):
        assert pauses.after(steps, 0.010) == pytest.approx(steps)
        assert pauses.without(steps, 0.010) == pytest.approx(steps)


BATCHES = 100


def saved_s(folder: Path, tried: dict[str, float], fetch: Factor) -> float:
    """By an edit of the dataset; a batch takes 10 ms, the step after it 0.9 ms."""
    run = SyntheticRun(folder)
    run.tried = tried
    loader = run.loader(3)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 10.0, 0.0)
            run.train(0.3, 0.5, 0.1)
    return run.evidence().replay.outlook([Reload(loader.subject, fetch=fetch)]).saved_s


def test_a_batch_that_is_gone_spares_the_step_its_pause(tmp_path: Path) -> None:
    gone, kept = Factor(0.0, 0.0, 0.0), Factor(1.0, 1.0, 1.0)
    plain = saved_s(tmp_path / "plain", {}, gone)
    assert plain == pytest.approx(BATCHES * 0.010, rel=0.01)
    spared = saved_s(tmp_path / "tried", COSTS, gone) - plain
    assert spared == pytest.approx(BATCHES * 0.0006, rel=0.05)  # the step is the stand-in's length
    assert saved_s(tmp_path / "kept", COSTS, kept) == pytest.approx(0.0, abs=1e-6)

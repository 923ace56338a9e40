"""Which recorded step is typical, and how many are shown with it."""

from __future__ import annotations

from pathlib import Path

from synthetic import SyntheticRun

from slowprobe.diagnose.evidence import Evidence
from slowprobe.timeline.typical_step import MOST_STEPS, typical_steps


def chosen(evidence: Evidence) -> tuple[int, int] | None:
    return typical_steps(evidence.labels, evidence.steps, evidence.loaders)


def test_the_step_nearest_to_the_median_in_its_parts(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    loader = run.loader(1)
    with run.epoch(loader):
        for step in range(30):
            run.batch(loader, 5.0)
            # all as long as the typical one, but only step 17 has its parts
            forward = 10.0 if step == 17 else 6.0 if step % 2 else 14.0
            run.train(forward, 20.0 - forward, 1.0)
    assert chosen(run.evidence()) == (17, 17)


def test_a_batch_of_a_worker_is_shown_whole(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    loader = run.loader(1, num_workers=2)
    with run.epoch(loader):
        for _ in range(60):
            run.batch(loader, 50.0)
            run.train(4.0, 5.0, 1.0)
    evidence = run.evidence()
    found = chosen(evidence)
    assert found is not None
    bounds = evidence.labels.steps
    assert 60.0 <= (bounds.end[found[1]] - bounds.start[found[0]]) / 1e6 < 130.0


def test_a_batch_longer_than_many_steps_is_cut(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    loader = run.loader(1, num_workers=1, prefetch_factor=80)
    with run.epoch(loader):
        for step in range(120):
            run.batch(loader, 400.0 if step == 50 else 1.0)
            run.train(0.4, 0.5, 0.1)
    found = chosen(run.evidence())
    assert found is not None and found[1] - found[0] < MOST_STEPS


def test_without_a_step_there_is_none(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    run.python(50.0, 1)
    assert chosen(run.evidence()) is None

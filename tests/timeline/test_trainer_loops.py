"""How trainers ask for batches: ahead, in bursts, once to look at; and what the policies of environments do."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import SyntheticRun


def test_a_batch_asked_ahead_belongs_to_the_step_before(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    loader = run.loader(1)
    for _ in range(3):
        with run.epoch(loader):
            run.batch(loader, 2.0)
            for _ in range(9):
                run.batch(loader, 2.0)
                run.train(4.0, 8.0, 1.0)
        run.train(4.0, 8.0, 1.0)
        run.save(50.0)
    steps = run.evidence().steps
    assert (steps.unit, steps.count, len(steps.wall_ms)) == ("batch", 30, 30)
    expected = [17.0, *[15.0] * 8, 13.0] * 3
    assert steps.wall_ms.tolist() == pytest.approx(expected, abs=0.2)


def test_batches_fetched_together_are_all_training(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    loader, held_out = run.loader(1), run.loader(2)
    for _ in range(2):
        with run.epoch(loader):
            for _ in range(5):
                for _ in range(4):
                    run.batch(loader, 1.0)
                for _ in range(4):
                    run.forward(2.0)
                    run.backward(2.0)
                run.optimizer(1.0)
        with run.epoch(held_out):
            for _ in range(3):
                run.batch(held_out, 1.0)
                run.forward(2.0)
    evidence = run.evidence()
    assert (evidence.steps.unit, evidence.steps.count) == ("optimizer step", 10)
    assert {(found.role, found.batches) for found in evidence.loaders} == {("training", 40), ("evaluation", 6)}


def test_a_batch_that_was_only_looked_at_is_no_step(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    loader = run.loader(1)
    run.span("loader_start", loader.subject, 0.1)
    run.batch(loader, 1.0)
    for _ in range(2):
        with run.epoch(loader):
            for _ in range(10):
                run.batch(loader, 1.0)
                run.train()
    steps = run.evidence().steps
    assert (steps.unit, steps.count, len(steps.wall_ms)) == ("batch", 20, 20)


@pytest.mark.parametrize(("environments", "evaluations"), [([], True), (["gymnasium"], False)])
def test_a_policy_that_acts_is_no_evaluation(tmp_path: Path, environments: list[str], evaluations: bool) -> None:
    run = SyntheticRun(tmp_path)
    run.settings(environments=environments)
    for _ in range(4):
        for _ in range(16):
            run.forward(1.0, training=False, grad=False)
            run.python(1.0)
        for _ in range(5):
            run.train()
    split = run.evidence().partition
    assert bool(split.bucket_s("evaluation")) == evaluations

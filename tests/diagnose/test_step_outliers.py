from __future__ import annotations

import math

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
def main():
    for step, batch in enumerate(loader):
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            rows = summarise(model)
        tidy(rows)
"""
RULE, STEPS = "step-outliers", 400


def record(tmp_path, *, every=20, work_ms=200.0, what="python", line=6, steps=STEPS, spread=0.0):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for step in range(steps):
            run.batch(loader, 1.0)
            late = work_ms if step % every == every - 1 else 0.0
            run.train(4.0 + spread * (step % 7) + late * (what == "forward"), 8.0, 1.0)
            if what == "python" and late:
                run.python(late, line)
            if what == "log" and late:
                run.log(late, line, api="print")
            if what == "gc" and late:
                run.collect(late)
            run.python(1.0, 7)
    return run.evidence()


@pytest.mark.parametrize("what", ["python", "log"])
def test_slow_names_the_work_of_every_twentieth_step(tmp_path, what):
    verdict = ask(RULE, record(tmp_path, what=what))
    times = 100  # 4 s beside 6 s: 66.7 times for 1 %
    assert verdict.saved_s == pytest.approx(20 * 0.2 * (1 - math.ceil(20 / times) / 20), rel=0.01)
    assert verdict.lines == [6]
    assert "+if step % 2000 == 0:" in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.summary.startswith("20 of 400 steps take up to 215 ms, the usual one 15.0 ms")


def test_quick_work_passes(tmp_path):
    verdict = ask(RULE, record(tmp_path, work_ms=5.0))
    assert verdict.status == "passed" and verdict.outcome.reason.startswith("no step is an outlier")


@pytest.mark.parametrize(("what", "reason"), [("forward", "Forward (20)"), ("gc", "Garbage collection (20)")])
def test_what_is_another_rules_is_only_named(tmp_path, what, reason):
    """Near miss: as long, as often, but no work of the user's under the condition."""
    verdict = ask(RULE, record(tmp_path, what=what))
    assert verdict.status == "passed" and reason in verdict.outcome.reason


def test_work_that_no_condition_makes_rare_passes(tmp_path):
    """Near miss: a line of each step is slow now and then."""
    verdict = ask(RULE, record(tmp_path, line=7))
    assert verdict.status == "passed" and "no line under a condition" in verdict.outcome.reason


def test_two_are_no_habit(tmp_path):
    assert ask(RULE, record(tmp_path, every=200, work_ms=2000.0)).status == "passed"


def test_steps_that_differ_by_nature_have_no_outliers(tmp_path):
    """Near miss: lengths differ by a factor of four, evenly."""
    evidence = record(tmp_path, spread=8.0, work_ms=0.0)
    assert evidence.outliers is not None and not evidence.outliers.steps


def test_few_steps_are_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, steps=40)).status == "not-checked"


def test_all_parts_at_once_are_the_machine(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for step in range(100):
            slow = 5.0 if step % 25 == 24 else 1.0
            run.batch(loader, 4.0 * slow)
            run.train(5.0 * slow, 6.0 * slow, 3.0 * slow)
    outliers = run.evidence().outliers
    assert outliers is not None
    [cause] = outliers.causes
    assert (cause.label, cause.steps) == ("everything at once", 4)
    assert cause.extra_s == pytest.approx(4 * 4 * 18e-3, rel=0.02)

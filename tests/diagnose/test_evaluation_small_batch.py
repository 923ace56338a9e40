from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
def evaluate(model, loader):
    for points, labels in loader:
        logits = model(points)


def main():
    test_loader = DataLoader(held_out, batch_size=4)
    for epoch in range(4):
        for batch in loader:
            loss.backward()
            optimizer.step()
        evaluate(model, test_loader)
"""
RULE = "evaluation-small-batch"
SAVED_S = 4 * 100 * (3e-3 * (1 - 0.1 / 0.75) + 0.1e-3 * (1 - (1 / 64) / (0.1 / 4)))  # passes, and asking for batches


def sized(size, by_sampler):
    """What a loader of such batches says of itself."""
    return {"batch_size": None, "sampler_batch_size": size} if by_sampler else {"batch_size": size}


def record(
    tmp_path, *, size=4, forward_ms=3.0, sample_bytes=400, batches=100, read=True, others=0, by_sampler=False, line=None
):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(line, **sized(64, by_sampler))
    tests = [run.loader(run.line("DataLoader("), **sized(size, by_sampler)) for _ in range(1 + others)]
    if read:
        run.batch_bytes(loader, 64 * 400)
        for test in tests:
            run.batch_bytes(test, size * sample_bytes)
    for _ in range(4):
        with run.epoch(loader):
            for _ in range(20):
                run.batch(loader, 1.0)
                run.train(6.4, 8.0, 1.0)
        for test in tests:
            run.evaluate(test, batches, fetch_ms=0.1, forward_ms=forward_ms, line=run.line("model(points)"))
    return run.evidence()


def test_slow_names_the_loader(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    # a sample takes 0.75 ms in evaluation, 0.1 ms in training
    assert verdict.saved_s == pytest.approx(SAVED_S, rel=0.01)
    assert verdict.lines == [7, 3]
    assert "+test_loader = DataLoader(held_out, batch_size=64)" in verdict.diagnosis.fix.diff


def test_the_size_may_be_the_batch_samplers(tmp_path):
    verdict = ask(RULE, record(tmp_path, by_sampler=True))
    assert verdict.saved_s == pytest.approx(SAVED_S, rel=0.01)
    assert "a batch sampler of batches of 64" in verdict.diagnosis.fix.text
    assert not verdict.diagnosis.fix.diff


def test_a_line_that_makes_both_loaders_comes_second(tmp_path):
    verdict = ask(RULE, record(tmp_path, line=7))
    assert verdict.lines == [3, 7]
    assert not verdict.diagnosis.fix.diff


def test_it_comes_first_where_it_is_why_evaluating_is_dear(tmp_path):
    """Evaluating rarely would save more, and costs what is learned from it."""
    rules = [finding.rule for finding in examine(record(tmp_path, batches=400)).findings]
    assert rules == [RULE, "evaluation-too-often"]


def test_how_often_it_is_called_is_no_longer_the_question(tmp_path):
    rules = [finding.rule for finding in examine(record(tmp_path)).findings]
    assert RULE in rules and "evaluation-too-often" not in rules


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"size": 64, "forward_ms": 9.0}, "64 samples"),  # the fixed twin
        ({"size": 32}, "32 samples"),
        ({"forward_ms": 0.42}, "as long in training"),  # as quick a sample as in training
        ({"batches": 4}, "of loop time"),
        ({"sample_bytes": 4000}, "may not stack"),  # whole images, one by one
    ],
)
def test_near_misses_pass(tmp_path, times, reason):
    verdict = ask(RULE, record(tmp_path, **times))
    assert verdict.status == "passed" and reason in verdict.outcome.reason, verdict.outcome


def test_what_was_not_seen_is_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path / "bytes", read=False)).status == "not-checked"
    assert ask(RULE, record(tmp_path / "two", others=1)).status == "not-checked"


def test_without_an_evaluation_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, batches=0)).status == "not-applicable"

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import line_ops, with_ops

SOURCE = """\
class Net:
    def forward(self, x):
        for t in range(100):
            h = torch.tanh(x[t] @ w + h)
        return h
def main():
    for x in data:
        loss = net(x)
        loss.backward()
        optimizer.step()
"""
RULE = "tiny-op-loop"
STEPS = 50


def record(tmp_path, forward_ms=10.0, backward_ms=20.0):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(forward_ms, 4, "Net.forward")
        run.backward(backward_ms, 9)
        run.optimizer(1.0, 10)
    return run.evidence()


def test_slow_names_the_line_and_saves_what_batching_would(tmp_path):
    lines = [line_ops(4, 100, forward_ms=9.0, backward_ms=18.0, gap_ms=1.0, left_ms=1.4)]
    verdict = ask(RULE, with_ops(record(tmp_path), lines, 31.0))
    assert verdict.lines == [4]
    total_s = 28.0 * STEPS / 1000
    assert verdict.saved_s == pytest.approx(total_s * (1 - 1.4 / 28 * 0.25), rel=0.02)
    assert "for t in range(100):" in verdict.diagnosis.fix.diff


def test_the_profilers_own_cost_is_taken_out(tmp_path):
    """The window's step takes 62 ms, the recorded ones 31: half of the lines' time is the profiler's."""
    lines = [line_ops(4, 100, forward_ms=20.0, backward_ms=38.0, gap_ms=2.0, left_ms=1.0)]
    verdict = ask(RULE, with_ops(record(tmp_path), lines, 62.0))
    assert verdict.diagnosis.evidence["share of the step"] <= 1.0
    assert verdict.saved_s < 31.0 * STEPS / 1000


def test_one_operator_for_all_steps_passes(tmp_path):
    lines = [line_ops(4, 1, op="aten::lstm", forward_ms=5.0, backward_ms=10.0, left_ms=14.0)]
    assert ask(RULE, with_ops(record(tmp_path), lines, 31.0)).status == "passed"


def test_a_loop_of_large_operators_passes(tmp_path):
    """Near miss: repeated a hundred times, but each is a matrix product that takes its time."""
    lines = [line_ops(4, 100, op="aten::mm", forward_ms=10.0, backward_ms=18.0, left_ms=25.0, numel=10**6)]
    verdict = ask(RULE, with_ops(record(tmp_path), lines, 31.0))
    assert verdict.status == "passed"
    assert "work" in verdict.outcome.reason


def test_operators_inside_the_optimizer_are_not_its_business(tmp_path):
    lines = [line_ops(10, 400, op="autograd::engine::evaluate_function: MulBackward0", forward_ms=20.0, left_ms=1.0)]
    assert ask(RULE, with_ops(record(tmp_path), lines, 31.0)).status == "passed"


def test_without_a_window_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path)).status == "not-checked"


ROLLOUT = """\
def act(state):
    return Categorical(policy(state)).sample()
def main():
    for episode in range(100):
        for t in range(1000):
            state = env.step(act(state))
        loss.backward()
        optimizer.step()
"""


def test_a_function_that_an_inner_loop_calls(tmp_path):
    run = SyntheticRun(tmp_path, ROLLOUT)
    for _ in range(STEPS):
        run.python(20.0, 2, "act")
        run.backward(5.0, 7)
        run.optimizer(1.0, 8)
    lines = [line_ops(2, 100, function="act", forward_ms=18.0, left_ms=1.0)]
    verdict = ask(RULE, with_ops(run.evidence(), lines, 26.0))
    assert verdict.lines == [2]
    assert "several environments" in verdict.diagnosis.fix.text
    assert verdict.diagnosis.fix.diff.startswith("-for t in range(1000):")
    assert verdict.saved_s == pytest.approx(20.0 * STEPS / 1000, rel=0.1)


def test_a_recorded_step_shorter_than_usual_stands_for_its_share(tmp_path):
    """Episodes: the one in the window took a third of a usual step, so the loop's operators are three times as many."""
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(10.0)
        run.backward(20.0, 9)
    lines = [line_ops(4, 100, forward_ms=3.0, backward_ms=6.0, left_ms=0.5)]
    share = ask(RULE, with_ops(run.evidence(), lines, 10.0)).diagnosis.evidence["share of the step"]
    assert share == pytest.approx(0.9, rel=0.05)


NESTED = """\
class Net:
    def forward(self, x):
        for t in range(20):
            x = torch.tanh(x)
            for k in range(10):
                x = x * k + 1
        return x
def main():
    for x in data:
        net(x).backward()
        optimizer.step()
"""


def test_a_loop_inside_a_loop_is_one_finding(tmp_path):
    """The outer loop's samples hold the inner one's: as two findings the same time would be saved twice."""
    run = SyntheticRun(tmp_path, NESTED)
    for _ in range(STEPS):
        run.forward(10.0, 6, "Net.forward")
        run.backward(20.0, 10)
        run.optimizer(1.0, 11)
    inner = line_ops(6, 200, forward_ms=8.0, backward_ms=16.0, left_ms=0.5)
    outer = line_ops(4, 20, op="aten::tanh", forward_ms=1.0, backward_ms=2.0, left_ms=0.2)
    verdict = ask(RULE, with_ops(run.evidence(), [inner, outer], 31.0))
    assert verdict.lines == [6, 4]
    assert verdict.diagnosis.fix.diff.startswith("-for t in range(20):")


def test_samples_bound_what_one_recorded_step_says(tmp_path):
    """The recorded step held an episode's end: its line ran in few of all steps, or samples would have found it."""
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(10.0, 2, "Net.forward")
        run.backward(20.0, 9)
        run.optimizer(1.0, 10)
    evidence = run.evidence()
    vars(evidence)["lines"] = [replace(line, samples=line.samples * 10) for line in evidence.lines]
    lines = [line_ops(4, 100, forward_ms=9.0, backward_ms=18.0, gap_ms=1.0, left_ms=1.0)]
    verdict = ask(RULE, with_ops(evidence, lines, 31.0))
    assert verdict.status == "passed" or verdict.diagnosis.evidence["share of the step"] < 0.1


TRAINER = """\
def run(fold):
    trainer.fit(Net(), folds[fold])
for fold in range(5):
    run(fold)
scores = [trainer.fit(Net(), fold) for fold in folds]
out = net(batch)
"""


def record_trainer(tmp_path, line):
    """Forward and backward below the user's `line`, both inside a trainer."""
    run = SyntheticRun(tmp_path, TRAINER)
    for _ in range(STEPS):
        run.forward(10.0, line)
        run.backward(20.0, line)
        run.optimizer(1.0, line)
    return run.evidence()


@pytest.mark.parametrize("line", [2, 5], ids=["called by the loop over folds", "in a comprehension"])
def test_a_trainers_loop_is_not_the_users(tmp_path, line):
    """Near miss: the loop around the line is over folds; the one that launches the operators is the trainer's."""
    lines = [line_ops(line, 100, forward_ms=9.0, backward_ms=18.0, left_ms=1.0)]
    evidence = with_ops(record_trainer(tmp_path, line), lines, 31.0)
    verdict = ask(RULE, evidence)
    assert verdict.status == "passed"
    assert f"train.py:{line}" in verdict.outcome.reason and "no loop of yours" in verdict.outcome.reason


def test_a_librarys_loop_is_named(tmp_path):
    """Near miss: one call of a layer whose own loop launches the operators."""
    evidence = record(tmp_path)
    vars(evidence)["lines"] = [
        replace(line, line=8, package="scanlib") for line in evidence.lines if line.bucket == "forward"
    ]
    lines = [line_ops(8, 100, function="main", forward_ms=9.0, backward_ms=18.0, left_ms=1.0)]
    verdict = ask(RULE, with_ops(evidence, lines, 31.0))
    assert verdict.status == "passed"
    assert "inside scanlib, which train.py:8 calls" in verdict.outcome.reason


def test_the_users_own_loop_below_a_trainer_is_found(tmp_path):
    """The trainer calls back: the loop is in the user's forward, and can be edited."""
    run = SyntheticRun(tmp_path, SOURCE + "trainer.fit(net)\n")
    for _ in range(STEPS):
        run.forward(10.0, 4, "Net.forward")
        run.backward(20.0, 11)
        run.optimizer(1.0, 11)
    lines = [
        line_ops(4, 100, forward_ms=9.0, backward_ms=18.0, gap_ms=1.0, left_ms=1.4),
        line_ops(11, 90, function="<module>", forward_ms=0.5, left_ms=0.1),
    ]
    verdict = ask(RULE, with_ops(run.evidence(), lines, 31.0))
    assert verdict.lines == [4]
    assert "for t in range(100):" in verdict.diagnosis.fix.diff

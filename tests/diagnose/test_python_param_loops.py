from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import line_ops, with_ops

SOURCE = """\
def update(model):
    for name, parameter in model.named_parameters():
        average[name] = 0.99 * average[name] + 0.01 * parameter
def main():
    for x in data:
        net(x).backward()
        optimizer.step()
        update(model)
    for row in rows:
        total = total + row
"""
RULE = "python-param-loops"
STEPS, TENSORS = 50, 200
COSTS = {"foreach.foreach_ms": 0.4, "foreach.loop_ms": 2.0, "foreach.tensors": float(TENSORS)}


def record(tmp_path, line=3):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(4.0, 6)
        run.backward(8.0, 6)
        run.optimizer(1.0, 7)
        run.python(7.0, line, "update")
    return run.evidence()


def loop(line=3, count=TENSORS):
    return [line_ops(line, 3 * count, function="update", forward_ms=5.0, gap_ms=1.5, left_ms=0.5)]


def test_slow_names_the_line_and_saves_what_foreach_was_measured_to(tmp_path):
    verdict = ask(RULE, with_ops(record(tmp_path), loop(), 20.0, costs=COSTS))
    assert verdict.lines == [3]
    left_ms = 0.4  # one foreach call in place of three operators a tensor; the samples give the line 7 ms
    assert verdict.saved_s == pytest.approx((7.0 - left_ms) * STEPS / 1000, rel=0.05)
    assert "_foreach_lerp_" in verdict.diagnosis.fix.diff


@pytest.mark.parametrize("rule", [RULE, "tiny-op-loop"])
def test_a_loop_that_a_recorded_step_holds_by_chance_is_not_judged(tmp_path, rule):
    """Near miss: the profiler window met the one step in a hundred that reports on all parameters."""
    source = SOURCE.replace("        update(model)", "        if step % 100 == 0: update(model)")
    run = SyntheticRun(tmp_path, source)
    for _ in range(STEPS):
        run.forward(4.0, 6)
        run.backward(8.0, 6)
        run.optimizer(1.0, 7)
    assert ask(rule, with_ops(run.evidence(), loop(), 20.0, costs=COSTS)).status != "found"


def test_without_a_measurement_the_range_is_stated(tmp_path):
    assert ask(RULE, with_ops(record(tmp_path), loop(), 20.0, costs={})).diagnosis.basis == "stated range"


def test_no_loop_over_parameters_passes(tmp_path):
    assert ask(RULE, with_ops(record(tmp_path), [], 20.0, costs=COSTS)).status == "passed"


def test_a_loop_over_something_else_is_left_to_tiny_op_loop(tmp_path):
    """Near miss: as many small operators, but over the rows of a batch."""
    evidence = with_ops(record(tmp_path, line=10), loop(line=10), 20.0, costs=COSTS)
    assert ask(RULE, evidence).status == "passed"
    assert ask("tiny-op-loop", evidence).status == "found"


FOLLOWING = """\
def follow(self):
    online, target = self.online.state_dict(), self.target.state_dict()
    for name, parameter in online.items():
        target[name].copy_(target[name] * 0.99 + parameter * 0.01)
    self.target.load_state_dict(target)
def main():
    for x in data:
        net(x).backward()
        optimizer.step()
        follow()
"""


def test_state_dicts_that_are_made_for_the_loop_go_with_it(tmp_path):
    run = SyntheticRun(tmp_path, FOLLOWING)
    for _ in range(STEPS):
        run.forward(4.0, 8)
        run.backward(8.0, 8)
        run.optimizer(1.0, 9)
        run.python(2.0, 2, "follow")
        run.python(7.0, 4, "follow")
        run.python(3.0, 5, "follow")
        run.python(1.0, 10, "main")  # the state dicts are freed
    lines = [line_ops(4, 3 * TENSORS, function="follow", forward_ms=5.0, gap_ms=1.5, left_ms=0.5)]
    verdict = ask(RULE, with_ops(run.evidence(), lines, 26.0, costs=COSTS))
    assert verdict.saved_s == pytest.approx((7.0 - 0.4 + 2.0 + 3.0 + 1.0) * STEPS / 1000, rel=0.05)


def test_state_dicts_that_others_use_stay(tmp_path):
    """Near miss: what the function makes beside is not what the loop goes over."""
    made = "online, target = self.online.state_dict(), self.target.state_dict()"
    source = FOLLOWING.replace(made, "saved = self.state_dict()").replace("online.items()", "model.named_parameters()")
    run = SyntheticRun(tmp_path, source)
    for _ in range(STEPS):
        run.forward(4.0, 8)
        run.backward(8.0, 8)
        run.optimizer(1.0, 9)
        run.python(2.0, 2, "follow")
        run.python(7.0, 4, "follow")
    lines = [line_ops(4, 3 * TENSORS, function="follow", forward_ms=5.0, gap_ms=1.5, left_ms=0.5)]
    verdict = ask(RULE, with_ops(run.evidence(), lines, 26.0, costs=COSTS))
    assert verdict.saved_s == pytest.approx((7.0 - 0.4) * STEPS / 1000, rel=0.05)


TRAINER = """\
def fit(parameters):
    trainer.fit(net, parameters)
for parameters in grid:
    fit(parameters)
"""


def test_a_trainers_loop_over_parameters_is_not_the_users(tmp_path):
    """Near miss: a sweep whose loop is named like parameters, around the line below which a trainer updates them."""
    run = SyntheticRun(tmp_path, TRAINER)
    for _ in range(STEPS):
        run.forward(4.0, 2)
        run.backward(8.0, 2)
        run.optimizer(1.0, 2)
        run.python(7.0, 2)
    verdict = ask(RULE, with_ops(run.evidence(), loop(line=2), 20.0, costs=COSTS))
    assert verdict.status == "passed"
    assert "train.py:2" in verdict.outcome.reason


PENALTY = SOURCE.replace("average[name] = 0.99 * average[name] + 0.01 * parameter", "{line}")


@pytest.mark.parametrize(
    ("line", "backward", "is_penalty"),
    [
        ("total = total + parameter.pow(2).sum()", TENSORS, True),
        ("total = total + (parameter ** 2).sum()", TENSORS, True),
        ("total = total + parameter.square().sum()", 0, False),
        ("total = total + (parameter - anchors[name]).pow(2).sum()", TENSORS, False),
        ("total = total + parameter.grad.square().sum()", TENSORS, False),
    ],
)
def test_a_penalty_on_squares_is_the_optimizers_weight_decay(tmp_path, line, backward, is_penalty):
    run = SyntheticRun(tmp_path, PENALTY.format(line=line))
    for _ in range(STEPS):
        run.forward(4.0, 6)
        run.backward(8.0, 6)
        run.optimizer(1.0, 7)
        run.python(7.0, 3, "update")
    lines = [replace(each, backward_launches=backward) for each in loop()]
    verdict = ask(RULE, with_ops(run.evidence(), lines, 20.0, costs=COSTS))
    assert ("weight_decay" in verdict.diagnosis.fix.diff) is is_penalty
    assert (verdict.saved_s == pytest.approx(7.0 * STEPS / 1000, rel=0.03)) is is_penalty

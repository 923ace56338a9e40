from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import line_ops, with_ops

SOURCE = """\
def metrics(scores):
    return sum(abs(a - b) for a in scores for b in scores)
def main():
    for x in data:
        loss = net(x)
        loss.backward()
        optimizer.step()
        metrics(loss)
        log.write(str(loss))
"""
RULE = "python-bound"
STEPS = 60
FORWARD = line_ops(5, 3, op="aten::mm", function="main", forward_ms=4.0, left_ms=4.0)


def record(tmp_path, python_ms=10.0, line=2, function="metrics", **sampling):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(4.0, 5)
        run.backward(8.0, 6)
        run.optimizer(1.0, 7)
        run.python(python_ms, line, function, **sampling)
    return run.evidence()


def test_slow_names_the_line(tmp_path):
    verdict = ask(RULE, with_ops(record(tmp_path), [FORWARD], 23.0))
    assert verdict.lines[0] == 2
    assert verdict.saved_s == pytest.approx(10.0 * STEPS / 1000 * 0.96, rel=0.05)


def test_a_step_without_python_passes(tmp_path):
    assert ask(RULE, with_ops(record(tmp_path, python_ms=0.2), [FORWARD], 13.2)).status == "passed"


def test_lines_seen_too_seldom_are_not_judged(tmp_path):
    """A busy machine: 14 % of the time on a line, but by nine samples."""
    run = SyntheticRun(tmp_path, SOURCE)
    for step in range(STEPS):
        run.forward(4.0, 5)
        run.backward(38.0, 6)
        run.optimizer(1.0, 7)
        run.python(7.0 if step < 9 else 0.0, 2, "metrics")
        run.now_ns += 0 if step < 9 else 7_000_000
    verdict = ask(RULE, with_ops(run.evidence(), [FORWARD], 50.0))
    assert verdict.status == "not-checked" and "9 stack samples" in verdict.outcome.reason


def test_a_line_whose_time_is_its_operators_passes(tmp_path):
    """Near miss: the samples lie between the phases, but the line runs a large operator there."""
    lines = [FORWARD, line_ops(2, 1, op="aten::mm", function="metrics", forward_ms=9.5, left_ms=9.5)]
    assert ask(RULE, with_ops(record(tmp_path), lines, 23.0)).status == "passed"


def test_waiting_and_writing_are_left_to_others(tmp_path):
    waiting = with_ops(record(tmp_path / "a", cpu_ms=0.5), [FORWARD], 23.0)
    assert ask(RULE, waiting).status == "passed"
    writing = with_ops(record(tmp_path / "b", line=9, function="main"), [FORWARD], 23.0)
    assert ask(RULE, writing).status == "passed"


def test_on_a_busy_machine_every_line_is_off_the_cpu(tmp_path):
    """Others had the cores for 60% of the time, in operators and in Python alike: the line does not wait."""
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        with run.inside("backward", 0):
            run.spend(12.0, 6, cpu_ms=4.8)
        run.optimizer(1.0, 7)
        run.python(10.0, 2, "metrics", cpu_ms=4.0)
    assert ask(RULE, with_ops(run.evidence(), [FORWARD], 23.0)).lines[0] == 2


def test_a_layer_of_torchs_own_is_not_python(tmp_path):
    """Near miss: the one recorded step was quick, so the operators of a call to nn.LSTM explain little of its time."""
    slow = record(tmp_path, callee="Module._wrapped_call_impl")
    assert ask(RULE, with_ops(slow, [FORWARD], 23.0)).status == "passed"


def test_operators_grow_with_the_steps(tmp_path):
    """Near miss: steps are episodes, and the recorded one was a fifth of the usual length."""
    lines = [FORWARD, line_ops(2, 1, op="aten::mm", function="metrics", forward_ms=2.0, left_ms=2.0)]
    assert ask(RULE, with_ops(record(tmp_path), lines, 4.6)).status == "passed"


def test_a_trainers_own_python_is_not_judged(tmp_path):
    run = SyntheticRun(tmp_path, "model.fit(x, y)\n")
    for _ in range(STEPS):
        run.forward(4.0, 1)
        run.backward(8.0, 1)
        run.optimizer(1.0, 1)
        run.python(20.0, 1, "<module>")
    forward = line_ops(1, 3, op="aten::mm", function="<module>", forward_ms=4.0, left_ms=4.0)
    verdict = ask(RULE, with_ops(run.evidence(), [forward], 33.0))
    assert verdict.status == "not-checked"
    assert "inside the library" in verdict.outcome.reason


def test_where_hardly_a_sample_was_taken_nothing_is_said(tmp_path):
    """Near miss: half of each step is Python, and four steps were sampled every 10 ms."""
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(4):
        run.forward(4.0, 5)
        run.backward(8.0, 6)
        run.optimizer(1.0, 7)
        run.python(9.0, 2, "metrics")
    assert ask(RULE, with_ops(run.evidence(), [FORWARD], 22.0)).status == "not-checked"


def test_what_a_library_computes_may_be_vectorised_already(tmp_path):
    """Near miss: NumPy on the line; and less than a tenth of a millisecond of Python pays little."""
    run = SyntheticRun(tmp_path, SOURCE.replace("sum(abs(a - b) for a in scores for b in scores)", "np.median(scores)"))
    for _ in range(STEPS):
        run.forward(4.0, 5)
        run.backward(8.0, 6)
        run.optimizer(1.0, 7)
        run.python(10.0, 2, "metrics")
    verdict = ask(RULE, with_ops(run.evidence(), [FORWARD], 23.0))
    assert verdict.saved_s == pytest.approx(10.0 * STEPS / 1000 * 0.8, rel=0.05)


def test_collections_that_set_in_on_the_line_go_with_its_objects(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(4.0, 5)
        run.backward(8.0, 6)
        run.optimizer(1.0, 7)
        run.python(10.0, 2, "metrics")
        with run.inside("gc", 1):
            run.spend(3.0, 2, "metrics")
    verdict = ask(RULE, with_ops(run.evidence(), [FORWARD], 26.0))
    assert verdict.saved_s == pytest.approx(13.0 * STEPS / 1000 * 0.96, rel=0.05)


def test_freeing_a_batch_at_the_head_of_the_loop_is_no_python(tmp_path):
    """Near miss: 10 ms a step on ``for x in data:``, where the batch before goes back to the system."""
    assert ask(RULE, with_ops(record(tmp_path, line=4, function="main"), [FORWARD], 23.0)).status == "passed"


SAMPLED = [("/usr/lib/python3.11/site-packages/torch/distributions/categorical.py", 9, "Categorical.sample")]


def test_torchs_own_python_in_a_step_unlike_the_recorded_one_is_not_judged(tmp_path):
    """Near miss: a rollout before every third step; its operators are not in the recorded one."""
    evidence = with_ops(record(tmp_path, below=SAMPLED), [FORWARD], 23.0)
    assert ask(RULE, evidence).status == "passed"
    recorded = line_ops(2, 3, op="aten::multinomial", function="metrics", forward_ms=0.5, left_ms=0.5)
    assert ask(RULE, with_ops(evidence, [FORWARD, recorded], 23.0)).lines == [2]


def test_a_tokenizers_lines_are_counted_by_its_own_rule(tmp_path):
    """Else their time makes python-bound the larger finding, and comes first with the vaguer advice."""
    source = SOURCE.replace("abs(a - b) for a in scores for b in scores", "vocab[word] for word in text.split()")
    run = SyntheticRun(tmp_path, source)
    for _ in range(STEPS):
        run.forward(4.0, 5)
        run.backward(8.0, 6)
        run.optimizer(1.0, 7)
        run.python(10.0, 2, "metrics")
    evidence = with_ops(run.evidence(), [FORWARD], 23.0)
    assert ask(RULE, evidence).status == "passed"
    assert ask("tokenize-in-loop", evidence).lines == [2]

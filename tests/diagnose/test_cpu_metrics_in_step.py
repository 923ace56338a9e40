from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

RULE = "cpu-metrics-in-step"
STEPS = 60
TEMPLATE = """\
import numpy as np
def rank(scores, labels):
    order = np.argsort(-scores, axis=1)
    return (order == labels).argmax(1).mean()
def main():
    for x, y in data:
        loss = net(x)
        {statement}
        loss.backward()
        optimizer.step()
        {after}
"""


def record(tmp_path, statement="ranks.append(rank(loss.numpy(), y))", after="pass", ms=5.0, line=3, function="rank"):
    run = SyntheticRun(tmp_path, TEMPLATE.format(statement=statement, after=after))
    for _ in range(STEPS):
        run.forward(4.0, 7)
        run.python(ms, line, function)
        run.backward(8.0, 9)
        run.optimizer(1.0, 10)
    return run.evidence()


def test_slow_names_the_line_and_runs_it_once_in_fifty_steps(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [8, 3]  # the call that the edit is about, then where the time goes
    assert verdict.saved_s == pytest.approx(5.0 * STEPS / 1000 * 0.98, rel=0.02)
    assert "if step % 50 == 0:" in verdict.diagnosis.fix.diff
    assert "ranks.append" in verdict.diagnosis.fix.diff
    assert [site.line for site in verdict.diagnosis.covers] == [8]


TRAINER = """\
import scoring
class Trainer:
    def run_epoch(self):
        for part in order.split(64):
            self.run_step(rows[part])
            self.scheduler.step(self.best)
    def run_step(self, x):
        loss = self.net(x)
        loss.backward()
        self.optimizer.step()
        {statement}
"""
SCORING = """\
import numpy as np
def roc_auc(truth, score):
    return np.argsort(score)
def resampled(truth, score):
    for _ in range(32):
        areas.append(roc_auc(truth, score))
"""


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("self.areas.append(scoring.resampled(y.numpy(), loss.numpy()))", "found"),
        ("if self.steps % 60 == 0: self.areas.append(scoring.resampled(y.numpy(), loss.numpy()))", "passed"),
        ("self.scheduler.step(scoring.resampled(y.numpy(), loss.numpy()))", "passed"),
        ("return loss.item(), scoring.resampled(y.numpy(), loss.numpy())", "passed"),
        ("self.best = scoring.resampled(y.numpy(), loss.numpy())", "passed"),
    ],
)
def test_a_metric_in_a_module_of_its_own_is_led_to_by_the_step_that_calls_it(tmp_path, statement, status):
    run = SyntheticRun(tmp_path, TRAINER.format(statement=statement))
    helper = "/home/someone/scoring.py"
    run.imported[helper] = SCORING
    for _ in range(STEPS):
        run.forward(4.0, 8)
        run.backward(8.0, 9)
        run.optimizer(1.0, 10)
        run.python(5.0, 11, "run_step", below=[(helper, 6, "resampled"), (helper, 3, "roc_auc")])
    verdict = ask(RULE, run.evidence())
    assert verdict.status == status
    if status == "found":
        assert [(where.file.rsplit("/")[-1], where.line) for where in verdict.diagnosis.where] == [
            ("train.py", 11),
            ("scoring.py", 3),
        ]
        assert "self.areas.append" in verdict.diagnosis.fix.diff
        assert verdict.saved_s == pytest.approx(5.0 * STEPS / 1000 * 0.98, rel=0.02)


def test_what_steps_lose_to_the_pause_is_saved_with_it(tmp_path):
    evidence = record(tmp_path)
    plain = ask(RULE, evidence)
    paused = record(tmp_path / "paused")
    paused.costs.update({"pause.0_ms": 0.3, "pause.1_ms": 0.4, "pause.10_ms": 0.9})
    found = ask(RULE, paused)
    lost_s = STEPS * 2.3 * (0.1 + 0.5 * 4 / 9) / 1000  # after 5 ms, of a step much longer than the stand-in
    assert found.saved_s - plain.saved_s == pytest.approx(lost_s, rel=0.1)
    assert found.found[0][1].worst_s == pytest.approx(plain.found[0][1].worst_s), "at worst it loses nothing to it"


def test_once_in_fifty_steps_passes(tmp_path):
    source = "if step % 50 == 0: ranks.append(rank(loss.numpy(), y))"
    assert ask(RULE, record(tmp_path / "a", source)).status == "passed"
    assert ask(RULE, record(tmp_path / "b", ms=0.2)).status == "passed"


@pytest.mark.parametrize(
    ("statement", "after"),
    [
        ("loss = loss * rank(loss.numpy(), y)", "pass"),
        ("weight = rank(loss.numpy(), y)", "scheduler.step(weight)"),
        ("weight = rank(loss.numpy(), y); scaled = weight * 2", "(loss * scaled).backward()"),
        ("weight = rank(loss.numpy(), y)", "if weight > 0.99: break"),
        ("memory.add(rank(loss.numpy(), y))", "memory.loss().backward()"),
    ],
)
def test_what_training_goes_on_with_is_no_metric(tmp_path, statement, after):
    """Near miss: the same NumPy work, and its result is needed."""
    verdict = ask(RULE, record(tmp_path, statement, after))
    assert verdict.status == "passed"
    assert "training goes on with" in verdict.outcome.reason


def test_python_that_is_no_metric_is_left_to_python_bound(tmp_path):
    evidence = record(tmp_path, "table = {k: build(k) for k in y}", line=8, function="main")
    assert ask(RULE, evidence).status == "passed"


@pytest.mark.parametrize(("read", "status"), [("print(matrix.accuracy())", "passed"), ("pass", "found")])
def test_a_total_over_all_batches_is_not_to_skip_any(tmp_path, read, status):
    """Near miss: pure Python counts each batch for a figure that is read after the loop."""
    source = TEMPLATE.format(statement="matrix.update(loss, y)", after="pass").replace("def rank(", "def update(")
    source = source.replace("order = np.argsort(-scores, axis=1)", "confusion = [s for s in scores]") + f"    {read}\n"
    run = SyntheticRun(tmp_path, source)
    for _ in range(STEPS):
        run.forward(4.0, 7)
        run.python(5.0, 3, "ConfusionMatrix.update")
        run.backward(8.0, 9)
        run.optimizer(1.0, 10)
    assert ask(RULE, run.evidence()).status == status


def test_statistics_of_every_parameter_count(tmp_path):
    statement = "stats = {n: p.abs().mean().item() for n, p in net.named_parameters()}"
    verdict = ask(RULE, record(tmp_path, statement, line=8, function="main"))
    assert verdict.lines == [8]


def test_a_loop_that_changes_parameters_is_no_statistic(tmp_path):
    statement = "[p.grad.clamp_(-p.norm().item(), 1) for p in net.parameters()]"
    assert ask(RULE, record(tmp_path, statement, line=8, function="main")).status == "passed"


def test_part_of_a_log_call_is_left_to_logging(tmp_path):
    run = SyntheticRun(tmp_path, TEMPLATE.format(statement="print(np.median(loss.numpy()))", after="pass"))
    for _ in range(STEPS):
        run.forward(4.0, 7)
        run.python(5.0, 8)
        run.log(0.1, 8)
        run.backward(8.0, 9)
        run.optimizer(1.0, 10)
    assert ask(RULE, run.evidence()).status == "passed"


def test_on_an_accelerator_a_line_that_reads_values_waits(tmp_path):
    run = SyntheticRun(tmp_path, TEMPLATE.format(statement="ranks.append(np.mean(loss.cpu().numpy()))", after="pass"))
    run.settings(devices=["some GPU"])
    for _ in range(STEPS):
        run.forward(4.0, 7)
        run.python(5.0, 8)
        run.backward(8.0, 9)
        run.optimizer(1.0, 10)
    assert ask(RULE, run.evidence()).status == "passed"


def test_without_samples_it_is_not_checked(tmp_path):
    run = SyntheticRun(tmp_path)
    for _ in range(STEPS):
        run.forward(4.0, 7)
        run.backward(8.0, 9)
    assert ask(RULE, run.evidence()).status == "not-checked"


def test_too_few_samples_are_not_judged(tmp_path):
    run = SyntheticRun(tmp_path, TEMPLATE.format(statement="ranks.append(np.mean(loss.numpy()))", after="pass"))
    for _ in range(8):
        run.forward(4.0, 7)
        run.python(5.0, 8)
        run.backward(8.0, 9)
        run.optimizer(1.0, 10)
    assert ask(RULE, run.evidence()).status == "not-checked"

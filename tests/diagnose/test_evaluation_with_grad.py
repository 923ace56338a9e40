from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.rules.evaluation_with_grad import DROPPED, PAGES_LEFT, SUMMED

SOURCE = """\
def evaluate(model, loader):
    model.eval()
    for points, labels in loader:
        logits = model(points)
        total = total + criterion(logits, labels)
"""
RULE = "evaluation-with-grad"


def record(tmp_path, *, source=SOURCE, grad=True, trainable=4, forward_ms=20.0, evaluate=True, page_faults=None):
    run = SyntheticRun(tmp_path, source)
    if page_faults is not None:  # of whatever is called; numbers are given in order of first sight
        run.tried = {f"forward.{n}.page_faults": float(page_faults) for n in range(20)} | {"page_us": 2.0}
    loader, test_loader = run.loader(None), run.loader(None)
    for _ in range(4):
        with run.epoch(loader):
            for _ in range(25):
                run.batch(loader, 1.0)
                run.train(4.0, 8.0, 1.0)
        if evaluate:
            with run.epoch(test_loader):
                for _ in range(10):
                    run.batch(test_loader, 1.0)
                    run.forward(
                        forward_ms,
                        run.line("model(points)"),
                        "evaluate",
                        training=False,
                        grad=grad,
                        trainable=trainable,
                    )
                    run.python(1.0, run.line("total ="), "evaluate")
    return run.evidence()


def test_slow_names_the_call_of_the_model(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [4]
    assert verdict.diagnosis.where[0].function == "evaluate"
    assert verdict.diagnosis.basis == "stated range"
    assert verdict.saved_s == pytest.approx(4 * 10 * 0.020 * (1 - SUMMED.expected), rel=0.001)
    assert verdict.diagnosis.fix.diff == (
        "-logits = model(points)\n+with torch.inference_mode():\n+    logits = model(points)"
    )


def test_losses_summed_as_numbers_keep_no_graph(tmp_path):
    source = SOURCE.replace("criterion(logits, labels)", "criterion(logits, labels).item()")
    verdict = ask(RULE, record(tmp_path, source=source))
    assert verdict.saved_s == pytest.approx(4 * 10 * 0.020 * (1 - DROPPED.expected), rel=0.001)


def test_pages_that_a_kept_graph_took_are_what_goes(tmp_path):
    """200,000 first touches at 2 µs, of 40 passes of 20 ms."""
    verdict = ask(RULE, record(tmp_path, page_faults=200_000))
    left = 0.4 * PAGES_LEFT.expected + 0.4 * DROPPED.expected
    assert verdict.diagnosis.basis == "calibrated replay"
    assert verdict.saved_s == pytest.approx(0.8 - left, rel=0.001)


def test_a_graph_that_takes_no_new_memory_costs_little(tmp_path):
    """Near miss: losses are summed, but what the passes need was in use before."""
    verdict = ask(RULE, record(tmp_path, page_faults=10))
    assert verdict.saved_s == pytest.approx(4 * 10 * 0.020 * (1 - DROPPED.expected), rel=0.001)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("total = total + F.mse(logits, labels)", True),
        ("total += F.cross_entropy(logits, labels) * len(labels)", True),
        ("every.append(logits)", True),
        ("every.append(logits.detach())", False),
        ("total = total + float(F.mse(logits, labels))", False),
        ("total = total + (logits.argmax(1) == labels).sum()", False),
        ("seen += len(labels); total = 0", False),
    ],
)
def test_a_graph_is_kept_whatever_the_sum_is_called(tmp_path, line, kept):
    source = SOURCE.replace("total = total + criterion(logits, labels)", line)
    source += "" if "total =" in line else "        total = 0\n"
    verdict = ask(RULE, record(tmp_path, source=source))
    assert verdict.diagnosis.evidence["graphs kept by summed losses"] is kept


def test_the_call_may_be_inside_the_sum(tmp_path):
    source = SOURCE.replace("logits = model(points)", "total += F.mse(model(points), labels)").replace(
        "total = total + criterion(logits, labels)", "total = total"
    )
    assert ask(RULE, record(tmp_path, source=source)).diagnosis.evidence["graphs kept by summed losses"] is True


def test_no_grad_passes(tmp_path):
    assert ask(RULE, record(tmp_path, grad=False)).status == "passed"


def test_a_model_without_trainable_parameters_passes(tmp_path):
    """Near miss: gradients are on, but no parameter wants one, so no graph is built."""
    assert ask(RULE, record(tmp_path, trainable=0)).status == "passed"


def test_short_evaluations_are_not_worth_a_finding(tmp_path):
    """Near miss: gradients are on in an evaluation of 3 % of loop time."""
    assert ask(RULE, record(tmp_path, forward_ms=1.0)).status == "passed"


def test_a_frozen_teacher_in_the_step_is_no_evaluation(tmp_path):
    """Near miss: a model in eval mode is called with gradients on in every training step."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(50):
            run.batch(loader, 1.0)
            run.forward(10.0, 4, training=False, grad=True, model="Teacher")
            run.train(4.0, 8.0, 1.0)
    assert ask(RULE, run.evidence()).status == "not-applicable"


def test_without_evaluation_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, evaluate=False)).status == "not-applicable"

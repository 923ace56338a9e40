from __future__ import annotations

import pytest
from msgspec import structs
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
for x in data:
    optimizer.zero_grad(set_to_none=False)
    net(x).backward()
    optimizer.step()
"""
RULE = "zero-grad-memset"
STEPS = 50
LEAF = "torch::autograd::AccumulateGrad"


def record(tmp_path, zero_ms=2.0, to_none=False, passes=1, leaf_ms=2.0, params=1):
    run = SyntheticRun(tmp_path, SOURCE)
    attrs = {"class": "SGD", "set_to_none": to_none}
    number = run._subjects.number("zero_grad", "SGD", "SGD", lambda: attrs, run.site(2))
    for _ in range(STEPS):
        run.span("zero_grad", number, zero_ms)
        for _ in range(passes):
            run.forward(4.0, 3)
            run.backward(10.0, 3)
        run.optimizer(2.0, 4)
    evidence = run.evidence()
    made, subject = next((n, s) for n, s in evidence.recording.subjects.items() if s.kind == "optimizer")
    evidence.recording.subjects[made] = structs.replace(subject, attrs={"params": params})
    vars(evidence)["node_times"] = {LEAF: [[leaf_ms + 0.003]], "AddmmBackward0": [[8.0 - 0.003]]}
    return evidence


def test_slow_saves_the_filling_and_at_best_the_additions(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [2]
    assert verdict.saved_s == pytest.approx(STEPS * 2.0 * 0.9 / 1000, rel=0.02)
    outlook = verdict.found[0][1]
    assert outlook.before_s - outlook.best_s == pytest.approx(STEPS * (2.0 * 0.95 + 2.0 * 0.7) / 1000, rel=0.02)
    assert outlook.worst_s == pytest.approx(outlook.before_s)
    assert verdict.diagnosis.fix.diff.endswith("+optimizer.zero_grad()")


def test_fixed_gradients_are_dropped(tmp_path):
    assert ask(RULE, record(tmp_path, to_none=True)).status == "passed"


def test_in_gradient_accumulation_the_additions_are_wanted(tmp_path):
    outlook = ask(RULE, record(tmp_path, passes=4)).found[0][1]
    assert outlook.before_s - outlook.best_s == pytest.approx(STEPS * 2.0 * 0.95 / 1000, rel=0.02)


def test_near_miss_large_gradients_cost_as_much_to_allocate(tmp_path):
    evidence = record(tmp_path)
    number, subject = next((n, s) for n, s in evidence.recording.subjects.items() if s.kind == "optimizer")
    evidence.recording.subjects[number] = structs.replace(subject, attrs={"sizes": [4_000_000, 2_000]})
    assert ask(RULE, evidence).status == "passed"


def test_near_miss_small_gradients_pass(tmp_path):
    assert ask(RULE, record(tmp_path, zero_ms=0.01, leaf_ms=0.01)).status == "passed"


def test_without_zero_grad_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(10):
        run.train()
    assert ask(RULE, run.evidence()).status == "not-applicable"


def test_parameters_that_a_step_does_not_use_are_stepped_no_more(tmp_path):
    """An expert of twenty is used: the optimizer goes through all of them because their gradients are zeros."""
    verdict = ask(RULE, record(tmp_path / "experts", params=20))
    assert verdict.saved_s == pytest.approx(STEPS * (2.0 * 0.9 + 2.0 * 0.95) / 1000, rel=0.02)
    assert "95% of the parameters get no gradient" in verdict.diagnosis.summary
    accumulated = ask(RULE, record(tmp_path / "accumulation", params=20, passes=4))
    assert accumulated.saved_s == pytest.approx(STEPS * 2.0 * 0.9 / 1000, rel=0.02)

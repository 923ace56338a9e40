from __future__ import annotations

import pytest
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


def record(tmp_path, zero_ms=2.0, to_none=False, passes=1, leaf_ms=2.0):
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
    vars(evidence)["node_times"] = {LEAF: [[leaf_ms + 0.003]], "AddmmBackward0": [[8.0 - 0.003]]}
    return evidence


def test_slow_saves_the_filling_and_the_additions(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [2]
    assert verdict.saved_s == pytest.approx(STEPS * (2.0 * 0.9 + 10.0 * 0.2 * 0.8) / 1000, rel=0.01)
    assert verdict.diagnosis.fix.diff.endswith("+optimizer.zero_grad()")


def test_fixed_gradients_are_dropped(tmp_path):
    assert ask(RULE, record(tmp_path, to_none=True)).status == "passed"


def test_in_gradient_accumulation_the_additions_are_wanted(tmp_path):
    verdict = ask(RULE, record(tmp_path, passes=4))
    assert verdict.saved_s == pytest.approx(STEPS * 2.0 * 0.9 / 1000, rel=0.02)


def test_near_miss_small_gradients_pass(tmp_path):
    assert ask(RULE, record(tmp_path, zero_ms=0.01, leaf_ms=0.01)).status == "passed"


def test_without_zero_grad_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(10):
        run.train()
    assert ask(RULE, run.evidence()).status == "not-applicable"

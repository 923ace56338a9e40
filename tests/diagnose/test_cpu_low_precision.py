from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.kernels import convolution, product, work

SOURCE = """\
for x, y in data:
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
"""
RULE = "cpu-low-precision"
STEPS = 50


def record(tmp_path, *layers, bf16="avx512_bf16", step_ms=40.0):
    """Steps of 40 ms: 12 forward, 24 backward, 4 in the optimizer."""
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(12.0, 2)
        run.backward(24.0, 3)
        run.optimizer(4.0, 4)
    evidence = run.evidence()
    vars(evidence)["kernels"] = work(*layers, step_ms=step_ms) if layers else None
    evidence.host["cpu_bf16"] = bf16
    return evidence


def test_slow_saves_what_the_trials_measured(tmp_path):
    verdict = ask(RULE, record(tmp_path, product(10.0, 20.0, bf16=0.5)))
    assert verdict.saved_s == pytest.approx(30.0 * STEPS / 1000 * 0.5, rel=0.01)
    assert verdict.lines == [2]
    assert "+    loss = criterion(net(x), y)" in verdict.diagnosis.fix.diff
    assert "torch.bfloat16" in verdict.diagnosis.fix.diff and verdict.diagnosis.basis == "calibrated replay"


def test_what_was_not_tried_gains_half_as_much(tmp_path):
    verdict = ask(RULE, record(tmp_path, product(10.0, 10.0, bf16=0.5), product(2.0, 8.0, tried=False)))
    assert verdict.saved_s == pytest.approx(STEPS / 1000 * (20 * 0.5 + 10 * 0.25), rel=0.01)


def test_fixed_is_in_16_bits(tmp_path):
    assert "16 bits" in ask(RULE, record(tmp_path, product(10.0, 20.0, dtype="c10::BFloat16"))).outcome.reason


def test_shapes_that_gain_nothing_pass(tmp_path):
    """Near miss: float32 products and the instructions, but conversions cost as much as is won."""
    verdict = ask(RULE, record(tmp_path, product(10.0, 20.0, bf16=0.93)))
    assert verdict.status == "passed" and "93%" in verdict.outcome.reason


def test_few_products_pass(tmp_path):
    assert ask(RULE, record(tmp_path, product(2.0, 4.0, bf16=0.4))).status == "passed"


def test_one_edit_is_advised_where_two_gain_no_more(tmp_path):
    evidence = record(tmp_path, convolution(10.0, 20.0, bf16=0.7, channels_last=0.5, both=0.49))
    assert ask(RULE, evidence).status == "passed"
    assert ask("cpu-channels-last", evidence).saved_s == pytest.approx(30.0 * STEPS / 1000 * 0.5, rel=0.01)


def test_both_edits_together_save_what_both_were_measured_to(tmp_path):
    """To a few per cent: the replay knows how much of a bucket each edit concerns, but not that it is the same part."""
    evidence = record(tmp_path, convolution(10.0, 20.0, bf16=0.8, channels_last=0.6, both=0.3))
    both = [change for rule in (RULE, "cpu-channels-last") for change in ask(rule, evidence).diagnosis.changes]
    assert evidence.replay.outlook(both).saved_s == pytest.approx(30.0 * STEPS / 1000 * 0.7, rel=0.06)


def test_untried_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, product(10.0, 20.0, tried=False))).status == "not-checked"


def test_not_applicable_without_instructions_or_products(tmp_path):
    assert ask(RULE, record(tmp_path, product(10.0, 20.0, bf16=0.5), bf16=None)).status == "not-applicable"
    assert ask(RULE, record(tmp_path / "other")).status == "not-applicable"

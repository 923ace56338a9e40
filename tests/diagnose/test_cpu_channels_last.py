from __future__ import annotations

import pytest

from diagnose.asking import ask
from diagnose.kernels import convolution, product
from diagnose.test_cpu_low_precision import STEPS, record

RULE = "cpu-channels-last"


def test_slow_saves_what_the_trials_measured(tmp_path):
    verdict = ask(RULE, record(tmp_path, convolution(10.0, 20.0, channels_last=0.6), bf16=None))
    assert verdict.saved_s == pytest.approx(30.0 * STEPS / 1000 * 0.4, rel=0.01)
    assert "channels_last" in verdict.diagnosis.fix.diff and verdict.lines == [2]
    assert verdict.found[0][1].worst_s > verdict.found[0][1].expected_s


def test_products_beside_stay_as_they_are(tmp_path):
    layers = convolution(9.0, 15.0, channels_last=0.5), product(2.0, 4.0)
    verdict = ask(RULE, record(tmp_path, *layers, bf16=None))
    assert verdict.saved_s <= 24.0 * STEPS / 1000 * 0.5


def test_fixed_is_in_channels_last(tmp_path):
    verdict = ask(RULE, record(tmp_path, convolution(10.0, 20.0, turned=True), bf16=None))
    assert verdict.status == "passed" and "0.0%" in verdict.outcome.reason


def test_a_layout_that_gains_nothing_passes(tmp_path):
    """Near miss: NCHW convolutions, but on these shapes the other layout is as slow."""
    assert ask(RULE, record(tmp_path, convolution(10.0, 20.0, channels_last=1.1), bf16=None)).status == "passed"


def test_a_pool_that_is_slower_in_channels_last_takes_the_gain_away(tmp_path):
    """Near miss: convolutions gain, and an operator between them copies every image back."""
    tried = {"all_ms": 2.0, "tried_ms": 2.0, "now_ms": 1.0, "edited_ms": 2.5, "of_all": 0.1, "beside_ms": 20.0}
    evidence = record(tmp_path, convolution(10.0, 20.0, channels_last=0.8), bf16=None)
    assert ask(RULE, evidence).status == "found"
    evidence.costs.update({f"operators.turned.{name}": value for name, value in tried.items()})
    verdict = ask(RULE, evidence)
    assert verdict.status == "passed" and "channels_last 95%" in verdict.outcome.reason
    evidence.costs["operators.turned.edited_ms"] = 0.1
    assert ask(RULE, evidence).saved_s == pytest.approx(30.0 * STEPS / 1000 * 0.2, rel=0.01), (
        "what it gains is not sure"
    )


def test_bfloat16_that_leaves_nothing_for_the_layout_passes(tmp_path):
    evidence = record(tmp_path, convolution(10.0, 20.0, bf16=0.4, channels_last=0.7, both=0.4))
    assert ask(RULE, evidence).status == "passed"
    assert ask("cpu-low-precision", evidence).status == "found"


def test_not_applicable_without_convolutions(tmp_path):
    assert ask(RULE, record(tmp_path, product(10.0, 20.0))).status == "not-applicable"


def test_untried_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, convolution(10.0, 20.0, tried=False))).status == "not-checked"

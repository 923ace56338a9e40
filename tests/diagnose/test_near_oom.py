from __future__ import annotations

import pytest

from diagnose.device import about, ahead

RULE = "near-oom"
GIB = 1 << 30


def step(trace, reserved):
    trace.memory(GIB, reserved)
    ahead(trace, kernels=5)
    trace.memory(-GIB, reserved)


@pytest.mark.parametrize(("reserved", "severity"), [(74 * GIB, "medium"), (79 * GIB, "high")])
def test_slow_is_a_risk(tmp_path, reserved, severity):
    verdict = about(RULE, tmp_path, lambda trace: step(trace, reserved))
    assert verdict.diagnosis.risk.severity == severity and not verdict.diagnosis.changes


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, lambda trace: step(trace, 40 * GIB)).status == "passed"


def test_without_memory_events_it_is_not_judged(tmp_path):
    """Near miss: nothing says how full it is."""
    assert about(RULE, tmp_path, ahead).status == "not-checked"

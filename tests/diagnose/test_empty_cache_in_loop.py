from __future__ import annotations

from diagnose.device import about, ahead
from diagnose.test_alloc_churn import step

RULE = "empty-cache-in-loop"


def test_slow_names_the_call(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: step(trace, mallocs=4, frees=4))
    assert verdict.diagnosis.fix.diff == "-torch.cuda.empty_cache()" and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "passed"


def test_allocations_alone_are_alloc_churn_s(tmp_path):
    """Near miss: allocated in each step, and nothing is given back."""
    assert "alloc-churn" in about(RULE, tmp_path, step).outcome.reason

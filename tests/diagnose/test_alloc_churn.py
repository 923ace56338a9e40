from __future__ import annotations

from diagnose.device import about, ahead

RULE = "alloc-churn"


def step(trace, mallocs=6, frees=0, us=300.0):
    for _ in range(mallocs):
        trace.call("cudaMalloc", us)
    for _ in range(frees):
        trace.call("cudaFree", us)
    ahead(trace, kernels=5)
    trace.sync()


def test_slow_counts_the_calls(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert "expandable_segments" in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.evidence["a step"] == 6


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "passed"


def test_what_empty_cache_gives_back_is_its_own_cause(tmp_path):
    """Near miss: all of it is freed again."""
    verdict = about(RULE, tmp_path, lambda trace: step(trace, frees=6))
    assert "empty-cache-in-loop" in verdict.outcome.reason
    assert about("empty-cache-in-loop", tmp_path, lambda trace: step(trace, frees=6)).status == "found"


def test_the_first_step_s_allocations_pass(tmp_path):
    seen = []

    def first(trace):
        seen.append(1)
        step(trace, mallocs=2 if len(seen) == 1 else 0)

    assert about(RULE, tmp_path, first).status == "passed"

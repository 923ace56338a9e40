from __future__ import annotations

import pytest

from diagnose.device import about, ahead

RULE = "pingpong"
OUT, BACK = "DtoH (Device -> Pageable)", "HtoD (Pageable -> Device)"


def step(trace, out=4 << 20, back=4 << 20, first=OUT, us=500.0):
    ahead(trace, kernels=5)
    copies = {OUT: out, BACK: back}
    for kind in (first, BACK if first == OUT else OUT):
        with trace.line("train.py", 33, "statistics"), trace.op("aten::to"), trace.op("aten::copy_"):
            trace.copy(kind, us, copies[kind])
            trace.sync()
    ahead(trace, kernels=5)
    trace.sync()


def test_slow_saves_both_ways(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert verdict.lines == [33]
    assert verdict.diagnosis.evidence["round trips a step"] == pytest.approx(1, abs=0.05)
    assert verdict.saved_s == pytest.approx(6 * 2 * 500e-6, rel=0.05)


def test_fixed_stays_on_the_device(tmp_path):
    assert about(RULE, tmp_path, lambda trace: ahead(trace, kernels=10)).status == "passed"


@pytest.mark.parametrize("change", [{"back": 5 << 20}, {"first": BACK}, {"out": 4096, "back": 4096}])
def test_a_batch_in_and_results_out_pass(tmp_path, change):
    """Near misses: of another size, in the other order, and small ones, which meet by chance."""
    verdict = about(RULE, tmp_path, lambda trace: step(trace, **change))
    assert verdict.status == "passed" and "comes back" in verdict.outcome.reason


def test_a_short_round_trip_passes(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: step(trace, us=20.0))
    assert verdict.status == "passed" and "of the time" in verdict.outcome.reason


def test_a_prefetched_batch_of_the_next_step_is_none(tmp_path):
    """Out at the end of one step, in at the start of the next."""

    def swapped(trace):
        with trace.op("aten::copy_"):
            trace.copy(BACK, 500.0, 4 << 20)
        ahead(trace, kernels=5)
        with trace.op("aten::copy_"):
            trace.copy(OUT, 500.0, 4 << 20)

    assert about(RULE, tmp_path, swapped).status == "passed"


def test_without_a_device_it_is_not_applicable(tmp_path):
    assert about(RULE, tmp_path, lambda trace: trace.python(100.0)).status == "not-applicable"

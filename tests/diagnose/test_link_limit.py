from __future__ import annotations

import pytest

from diagnose.device import about, ahead

RULE = "link-limit"


def step(trace, gb_per_s=3.0, size=12_000_000, kind="HtoD (Pinned -> Device)"):
    with trace.op("aten::to"), trace.op("aten::copy_"):
        trace.copy(kind, size / gb_per_s / 1e3, size)
    ahead(trace, kernels=10)
    trace.sync()


def test_slow_saves_what_a_sound_link_would(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert verdict.diagnosis.evidence["GB/s"] == pytest.approx(3.0, rel=0.01)
    _, outlook = verdict.found[0]
    assert verdict.saved_s == pytest.approx(6 * 3e-3, rel=0.02), "4 ms become 1"
    assert outlook.worst_s == pytest.approx(outlook.before_s)


@pytest.mark.parametrize("rate", [6.5, 12.0, 25.0])
def test_a_sound_link_passes(tmp_path, rate):
    verdict = about(RULE, tmp_path, lambda trace: step(trace, rate))
    assert verdict.status == "passed" and "GB/s" in verdict.outcome.reason


def test_slow_copies_that_take_little_pass(tmp_path):
    """Near miss: 20 times as much computing."""

    def busy(trace):
        step(trace, 5.0, 1_500_000)
        ahead(trace, kernels=40)

    verdict = about(RULE, tmp_path, busy)
    assert verdict.status == "passed" and "of the time" in verdict.outcome.reason


@pytest.mark.parametrize("change", [{"kind": "HtoD (Pageable -> Device)"}, {"size": 100_000, "gb_per_s": 1.0}])
def test_pageable_and_small_copies_say_nothing_of_the_link(tmp_path, change):
    assert about(RULE, tmp_path, lambda trace: step(trace, **change)).status == "not-applicable"

from __future__ import annotations

import pytest

from diagnose.device import TF32, about, ahead

RULE = "item-sync"
LINE = ("train.py", 12, "train")


def work(trace):
    """A millisecond of Python, which 3 ms of kernels would hide if they were still queued."""
    trace.python(1_000.0)
    for _ in range(60):
        with trace.op("aten::mm"):
            trace.kernel(TF32, 50.0)


def reads(trace):
    trace.item(LINE)
    work(trace)


def test_slow_names_the_line(tmp_path):
    verdict = about(RULE, tmp_path, reads)
    where = verdict.diagnosis.where[0]
    assert (where.file, where.line, where.function) == LINE
    assert 0.5 <= verdict.diagnosis.evidence["a step"] <= 1.1
    assert verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    verdict = about(RULE, tmp_path, ahead)
    assert verdict.status == "passed"


def test_reading_every_tenth_step_passes(tmp_path):
    """Near miss: one in six steps reads a value."""
    seen = []

    def step(trace):
        seen.append(1)
        if len(seen) == 3:
            trace.item(LINE)
        ahead(trace)

    verdict = about(RULE, tmp_path, step)
    assert verdict.status == "passed" and "a step" in verdict.outcome.reason


def test_a_device_that_is_never_behind_passes(tmp_path):
    """Near miss: a value is read in each step, and the host needs next to nothing to fill the queue again."""

    def step(trace):
        trace.item(LINE)
        ahead(trace, kernels=5, us=5_000.0)

    assert about(RULE, tmp_path, step).status == "passed"


@pytest.mark.parametrize("rule", ["implicit-sync", "explicit-sync", "scaler-clip-sync"])
def test_the_other_rules_leave_it_alone(tmp_path, rule):
    assert about(rule, tmp_path, reads).status == "passed"


def test_implicit_sync_names_the_operator(tmp_path):
    def step(trace):
        with trace.line("model.py", 30, "forward"), trace.op("aten::nonzero"):
            trace.copy("DtoH (Device -> Pinned)", 2.0, 8)
            trace.sync()
        work(trace)

    verdict = about("implicit-sync", tmp_path, step)
    assert verdict.lines == [30] and "aten::nonzero" in verdict.diagnosis.evidence["operators"]


def test_explicit_sync_names_the_call(tmp_path):
    def step(trace):
        with trace.line("train.py", 7, "train"):
            trace.sync("cudaDeviceSynchronize")
        work(trace)

    verdict = about("explicit-sync", tmp_path, step)
    assert verdict.lines == [7] and verdict.diagnosis.evidence["calls"] == "cudaDeviceSynchronize"


def test_scaler_clip_sync_knows_the_scaler(tmp_path):
    def step(trace):
        trace.item(("torch/amp/grad_scaler.py", 350, "step"))
        work(trace)

    assert about("scaler-clip-sync", tmp_path, step).status == "found"
    assert about("item-sync", tmp_path, step).status == "passed"

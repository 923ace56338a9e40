from __future__ import annotations

from diagnose.device import about, ahead

RULE = "h2d-not-overlapped"


def step(trace, stream):
    with trace.op("aten::copy_"):
        trace.copy("HtoD (Pinned -> Device)", 1_000.0, 12 << 20, stream=stream)
    ahead(trace, kernels=10)


def test_slow_copies_on_the_kernels_stream(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: step(trace, 7))
    assert verdict.diagnosis.evidence["exposed, of the time"] > 0.15 and verdict.saved_s > 0


def test_fixed_copies_beside_the_kernels(tmp_path):
    assert about(RULE, tmp_path, lambda trace: step(trace, 14)).status == "passed"


def test_without_copies_it_passes(tmp_path):
    """Near miss: nothing is copied."""
    assert about(RULE, tmp_path, ahead).status == "passed"

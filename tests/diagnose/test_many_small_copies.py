from __future__ import annotations

from diagnose.device import about, ahead

RULE = "many-small-copies"


def step(trace, count=40, size=512):
    for _ in range(count):
        with trace.op("aten::copy_"):
            trace.copy("HtoD (Pageable -> Device)", 2.0, size)
    ahead(trace, kernels=10, us=100.0)


def test_slow_packs_them(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert verdict.diagnosis.evidence["copies a step"] > 30 and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, lambda trace: step(trace, count=1, size=40 * 512)).status == "passed"


def test_large_ones_pass(tmp_path):
    """Near miss: as many, of a megabyte each."""
    verdict = about(RULE, tmp_path, lambda trace: step(trace, size=1 << 20))
    assert verdict.status == "passed" and "KiB each" in verdict.outcome.reason

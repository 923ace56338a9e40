from __future__ import annotations

from diagnose.device import about, ahead

RULE = "small-collectives"


def step(trace, count=30, size=4096):
    ahead(trace, kernels=5)
    trace.sync()
    for _ in range(count):
        trace.collective("AllReduce", 30.0, size)
    trace.sync()


def test_slow_counts_them(tmp_path):
    verdict = about(RULE, tmp_path, step, rank=0, world_size=8)
    assert verdict.diagnosis.evidence["small collectives a step"] > 20 and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, lambda trace: step(trace, count=1), rank=0, world_size=8).status == "passed"


def test_large_ones_pass(tmp_path):
    """Near miss: as many buckets of 4 MB."""
    assert about(RULE, tmp_path, lambda trace: step(trace, size=4 << 20), rank=0, world_size=8).status == "passed"

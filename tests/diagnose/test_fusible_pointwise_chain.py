from __future__ import annotations

from diagnose.device import ADD, about, ahead, product

RULE = "fusible-pointwise-chain"


def step(trace, chain=5):
    for _ in range(8):
        product(trace, us=200.0)
        for _ in range(chain):
            with trace.op("aten::add"):
                trace.kernel(ADD, 40.0)


def test_slow_counts_the_runs(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert verdict.diagnosis.evidence["kernels a run"] == 5 and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "passed"


def test_pairs_pass(tmp_path):
    """Near miss: as many pointwise kernels, two and two."""
    assert about(RULE, tmp_path, lambda trace: step(trace, chain=2)).status == "passed"

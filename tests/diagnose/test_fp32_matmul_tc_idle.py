from __future__ import annotations

import pytest

from diagnose.device import ADD, BF16, GEMM, TF32, about, ahead, product

RULE = "fp32-matmul-tc-idle"


def test_slow_saves_half_of_the_products(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: ahead(trace, name=GEMM))
    assert 'set_float32_matmul_precision("high")' in verdict.diagnosis.fix.diff
    _, outlook = verdict.found[0]
    assert outlook.expected_s == pytest.approx(0.5 * outlook.before_s, rel=0.05)


@pytest.mark.parametrize("name", [TF32, BF16, "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_TNT"])
def test_fixed_passes(tmp_path, name):
    assert about(RULE, tmp_path, lambda trace: ahead(trace, name=name)).status == "passed"


def test_small_products_pass(tmp_path):
    """Near miss: products in float32, and next to nothing of the time."""

    def step(trace):
        product(trace, GEMM, 20.0)
        for _ in range(20):
            with trace.op("aten::add"):
                trace.kernel(ADD, 200.0)

    assert about(RULE, tmp_path, step).status == "passed"


def test_volta_has_no_tensor_cores_for_float32(tmp_path):
    verdict = about(RULE, tmp_path, lambda t: ahead(t, name=GEMM), device="Tesla V100-SXM2-16GB", capability=(7, 0))
    assert verdict.status == "not-applicable"

from __future__ import annotations

import pytest

from diagnose.device import BF16, GEMM, TF32, about, ahead

RULE = "no-amp"


@pytest.mark.parametrize(("name", "capability", "kind"), [(TF32, (8, 0), "bfloat16"), (GEMM, (7, 0), "float16")])
def test_slow_names_the_type_that_the_device_has(tmp_path, name, capability, kind):
    device = "NVIDIA A100-SXM4-80GB" if capability == (8, 0) else "Tesla V100-SXM2-16GB"
    verdict = about(RULE, tmp_path, lambda t: ahead(t, name=name), device=device, capability=capability)
    assert f"torch.{kind}" in verdict.diagnosis.fix.diff and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: ahead(trace, name=BF16))
    assert verdict.status == "passed" and "in 16 bits" in verdict.outcome.reason


def test_a_device_without_tensor_cores_is_not_applicable(tmp_path):
    """Near miss: float32, on a card that knows nothing else."""
    verdict = about(RULE, tmp_path, lambda t: ahead(t, name=GEMM), device="Tesla P100-PCIE-16GB", capability=(6, 0))
    assert verdict.status == "not-applicable"

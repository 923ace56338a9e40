from __future__ import annotations

from diagnose.device import about, ahead

RULE = "fp16-scaler-where-bf16"
UNSCALE = "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<non_finite_check_and_unscale>"


def step(trace, us=200.0):
    ahead(trace, kernels=5)
    with trace.op("aten::_amp_foreach_non_finite_check_and_unscale_"):
        trace.kernel(UNSCALE, us)


def test_slow_saves_the_scaler_s_kernels(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert "torch.bfloat16" in verdict.diagnosis.fix.diff and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "passed"


def test_volta_needs_its_scaler(tmp_path):
    """Near miss: the same on a device without bfloat16."""
    assert about(RULE, tmp_path, step, device="Tesla V100", capability=(7, 0)).status == "not-applicable"

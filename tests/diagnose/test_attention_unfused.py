from __future__ import annotations

from diagnose.device import BF16, about

RULE = "attention-unfused"
SOFTMAX = "void (anonymous namespace)::softmax_warp_forward<float, float, float, 10, false, false>"
FLASH = "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 64, 4> >"


def step(trace, softmax=True, around="aten::bmm"):
    for _ in range(8):
        with trace.op(around):
            trace.kernel(BF16, 100.0)
        if softmax:
            with trace.op("aten::_softmax"):
                trace.kernel(SOFTMAX, 60.0)
        with trace.op(around):
            trace.kernel(BF16, 100.0)


def test_slow_names_the_fused_call(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert "scaled_dot_product_attention" in verdict.diagnosis.fix.diff and verdict.saved_s > 0


def test_fixed_is_fused_and_passes(tmp_path):
    def fused(trace):
        for _ in range(8):
            with trace.op("aten::_flash_attention_forward"):
                trace.kernel(FLASH, 100.0)

    verdict = about(RULE, tmp_path, fused)
    assert verdict.status == "passed" and "fused attention" in verdict.outcome.reason


def test_a_softmax_at_the_end_passes(tmp_path):
    """Near miss: the loss's own, with no batched product beside it."""
    assert about(RULE, tmp_path, lambda trace: step(trace, around="aten::mm")).status == "passed"

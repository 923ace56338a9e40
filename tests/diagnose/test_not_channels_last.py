from __future__ import annotations

from diagnose.device import about, ahead

RULE = "not-channels-last"
CONV = "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nchw_tilesize128x128x16"
TURN = "void cudnn::ops::nchwToNhwcKernel<float, float, float, false, true>"


def step(trace, turn_us=50.0):
    for _ in range(10):
        with trace.op("aten::cudnn_convolution"):
            trace.kernel(TURN, turn_us)
            trace.kernel(CONV, 300.0)


def test_slow_saves_the_conversions(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert "channels_last" in verdict.diagnosis.fix.diff and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, lambda trace: step(trace, 1.0)).status == "passed"


def test_without_convolutions_it_does_not_apply(tmp_path):
    """Near miss: a transformer."""
    assert about(RULE, tmp_path, ahead).status == "not-applicable"

from __future__ import annotations

import pytest
from synthetic_trace import SyntheticTrace

from diagnose.asking import ask
from diagnose.device import about, ahead
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.trace.reader import read_trace

RULE = "cudnn-benchmark"
CONVOLUTION = "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nchw_tilesize128x128x16_cudnn"


class Recorded(TraceEvidence):
    """A trace beside which the run's settings were recorded."""

    settings: dict[str, bool]


def asked(folder, sizes=(1 << 20,), kernel=CONVOLUTION, **settings):
    trace = SyntheticTrace(folder)
    for number in range(12):
        with trace.step():
            with trace.op("aten::copy_"):
                trace.copy("HtoD (Pinned -> Device)", 20.0, sizes[number % len(sizes)])
            with trace.op("aten::cudnn_convolution"):
                trace.kernel(kernel, 500.0)
            ahead(trace, kernels=1, us=500.0)
    trace.sync("cudaDeviceSynchronize")
    evidence = Recorded(read_trace(trace.write()))
    evidence.settings = {"cudnn_benchmark": False, "deterministic": False, **settings}
    return ask(RULE, evidence)


def test_slow_saves_a_tenth_of_the_convolutions(tmp_path):
    verdict = asked(tmp_path)
    assert "cudnn.benchmark = True" in verdict.diagnosis.fix.diff
    assert verdict.saved_s == pytest.approx(12 * 500e-6 * 0.1, rel=0.1)


def test_fixed_passes(tmp_path):
    assert asked(tmp_path, cudnn_benchmark=True).status == "passed"


def test_batches_of_many_sizes_pass(tmp_path):
    """Near miss: detection with images of all sizes; measuring each would take longer than it gains."""
    verdict = asked(tmp_path, sizes=[(1 << 20) + 4096 * i for i in range(6)])
    assert verdict.status == "passed" and "6 sizes" in verdict.outcome.reason
    assert asked(tmp_path, sizes=[1 << 20] * 11 + [1 << 18]).diagnosis.evidence["sizes of batches"] == 2


def test_deterministic_or_without_convolutions_is_not_applicable(tmp_path):
    assert asked(tmp_path, deterministic=True).status == "not-applicable"
    assert about(RULE, tmp_path, ahead).status == "not-applicable"


def test_a_trace_alone_does_not_hold_the_setting(tmp_path):
    def step(trace):
        with trace.op("aten::cudnn_convolution"):
            trace.kernel(CONVOLUTION, 500.0)

    assert about(RULE, tmp_path, step).status == "not-checked"

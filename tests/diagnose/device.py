"""Asks a rule about a trace made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthetic_trace import SyntheticTrace

from diagnose.asking import Verdict, ask
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.trace.reader import read_trace

STEPS = 6
GEMM, TF32, BF16 = (
    "ampere_sgemm_128x64_nn",
    "ampere_tf32_s1688gemm_128x128_32x3_nn",
    "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_tn",
)
ADD = "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float> >(int)"


def about(rule: str, folder: Path, step: Callable[[SyntheticTrace], None], **settings: Any) -> Verdict:
    """What the rule says of a trace of some steps, each of which does `step`."""
    trace = SyntheticTrace(folder, **settings)
    for _ in range(STEPS):
        with trace.step():
            step(trace)
    trace.sync("cudaDeviceSynchronize")
    return ask(rule, TraceEvidence(read_trace(trace.write())))


def product(trace: SyntheticTrace, name: str = TF32, us: float = 400.0) -> None:
    """A matrix product."""
    with trace.op("aten::mm"):
        trace.kernel(name, us)


def ahead(trace: SyntheticTrace, kernels: int = 20, us: float = 400.0, name: str = TF32) -> None:
    """A step in which the host is well ahead of the device."""
    for _ in range(kernels):
        product(trace, name, us)

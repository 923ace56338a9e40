"""Makes what is known of a step's products, for rules that look at shapes and rates."""

from __future__ import annotations

from typing import Any

from slowprobe.run.kernels import Kernel
from slowprobe.timeline.kernel_work import KernelWork, Layer, Trial

IMAGE, WEIGHT = [32, 64, 28, 28], [128, 64, 3, 3]


def convolution(
    forward_ms: float,
    backward_ms: float,
    *,
    dtype: str = "float",
    turned: bool = False,
    tried: bool = True,
    **left: Any,
) -> Layer:
    """A 3×3 convolution; `left`: what bf16, channels_last, both, twice leave of its time."""
    kernel = Kernel("aten::convolution", IMAGE, WEIGHT, dtype, [1, 1], [1, 1], [1, 1], [0, 0], channels_last=turned)
    return _layer(kernel, forward_ms, backward_ms, tried, left)


def product(forward_ms: float, backward_ms: float, *, dtype: str = "float", tried: bool = True, **left: Any) -> Layer:
    """A 512×512×512 product."""
    return _layer(Kernel("aten::addmm", [512, 512], [512, 512], dtype), forward_ms, backward_ms, tried, left)


def _layer(kernel: Kernel, forward_ms: float, backward_ms: float, tried: bool, left: dict[str, Any]) -> Layer:
    settings = {"bf16": None, "channels_last": None, "both": None, "twice": None, **left}
    trial = Trial(forward_ms + backward_ms, 50.0, **settings) if tried else None
    return Layer(kernel, 1.0, forward_ms, backward_ms, 3 * kernel.flops / 1e9, trial)


def work(*layers: Layer, step_ms: float, reach_gflops: float | None = 50.0) -> KernelWork:
    """A step of `step_ms` with these layers."""
    return KernelWork(tuple(sorted(layers, key=lambda layer: -layer.ms)), step_ms, reach_gflops)

"""What matrix products and convolutions were computed in, by the names of their kernels."""

from __future__ import annotations

import re

from slowprobe.diagnose.device_parts import class_share, kernels_of
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.kernels import KernelStat

PRODUCTS = ("matmul", "convolution")
MIN_PRODUCTS = 0.10  # of the recording; below, another precision changes little
_HALF = re.compile(r"bf16|_f16|half|hgemm|h16816|h1688|h884|fp16|bfloat|_hss_|_hhh_|_bbb_|fp8|e4m3", re.I)


def products(facts: DeviceFacts) -> list[KernelStat]:
    """The kernels that multiply matrices or convolve, the dearest first."""
    return kernels_of(facts, *PRODUCTS)


def products_share(facts: DeviceFacts) -> float:
    """Of the recording."""
    return class_share(facts, *PRODUCTS)


def in_full(kernel: KernelStat) -> bool:
    """Computed in float32 (or wider) on the ordinary units."""
    return not kernel.tensor_cores and _HALF.search(kernel.name) is None


def in_half(kernel: KernelStat) -> bool:
    """In 16 bits or fewer."""
    return _HALF.search(kernel.name) is not None

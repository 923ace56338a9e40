"""Kernels by name: how often, how long, and which operators launch them."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.trace.reader import Trace


@dataclass(frozen=True, slots=True)
class KernelStat:
    """One kernel; figures are over its launches."""

    name: str
    class_name: str
    tensor_cores: bool
    count: int
    total_ns: int
    mean_ns: float
    median_ns: float
    longest_ns: int
    share: float
    """Of the summed time of all kernels."""
    ops: tuple[str, ...]
    """Operators that launched it, the most frequent first; empty where the trace does not tell."""


def kernel_table(trace: Trace, rows: DeviceRows) -> list[KernelStat]:
    """The kernels (no copies, no memsets), the dearest first."""
    raise NotImplementedError

"""The memory of the device over time, from the profiler's allocation events."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.trace.reader import Ints, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCurve:
    """Allocated and reserved bytes of one device after each event."""

    device: int
    """−1: the host, in traces without a device."""
    time_ns: Ints
    allocated_bytes: Ints
    reserved_bytes: Ints
    peak_bytes: int
    peak_ns: int
    peak_reserved_bytes: int
    allocations: int
    frees: int
    churn_bytes: int
    """The sum of all allocations."""
    allocations_per_step: float | None
    """The median over the steps; None without steps."""
    churn_bytes_per_step: float | None
    device_mallocs: int
    """cudaMalloc and its like: calls that the caching allocator could not serve itself."""
    device_frees: int
    device_malloc_ns: int
    """Spent in both by the host."""


def memory_curve(trace: Trace, steps: TraceSteps | None = None) -> MemoryCurve | None:
    """The curve of the device with the most allocation events; None where the trace has no memory events."""
    raise NotImplementedError

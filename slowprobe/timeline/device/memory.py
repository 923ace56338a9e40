"""The memory of the device over time, from the profiler's allocation events."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.trace.reader import MISSING, Ints, Trace

_GETS = re.compile(r"Malloc|Alloc|Create", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCurve:
    """Allocated and reserved bytes of one device after each event."""

    device: int
    """−1: the host, in traces without a device."""
    time_ns: Ints
    allocated_bytes: Ints
    reserved_bytes: Ints
    """`MISSING` where the trace does not tell, as in 2021."""
    is_relative: bool
    """The trace gives no totals: allocated bytes are counted from its own events, without what lived before them."""
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
    """cudaMalloc and its like: what the caching allocator could not serve itself."""
    device_frees: int
    device_malloc_ns: int
    """Spent in both by the host."""


def memory_curve(trace: Trace, steps: TraceSteps | None = None, host: Host | None = None) -> MemoryCurve | None:
    """The curve of the device with the most allocation events, the host's only where no device has any.

    None where the trace has no memory events.
    """
    events = trace.memory
    if not len(events):
        return None
    devices, counts = np.unique(events.device, return_counts=True)
    device = int(devices[np.lexsort((counts, devices >= 0))[-1]])
    mine = events.device == device
    time_ns, size = events.start_ns[mine], events.size_bytes[mine]
    allocated, reserved = events.allocated_bytes[mine], events.reserved_bytes[mine]
    is_relative = bool((allocated == MISSING).all())
    if is_relative:
        allocated = np.cumsum(size)
        allocated = allocated - min(0, int(allocated.min()))  # what was freed in between had been there from the start
    peak = int(allocated.argmax())
    got = size > 0
    host = host or Host(trace)
    calls = np.flatnonzero(host.allocator & host.runtime)
    gets = trace.matches(lambda name: bool(_GETS.search(name)))[calls]
    per_step = _per_step(time_ns[got], size[got], steps)
    return MemoryCurve(
        device=device,
        time_ns=time_ns,
        allocated_bytes=allocated,
        reserved_bytes=reserved,
        is_relative=is_relative,
        peak_bytes=int(allocated[peak]),
        peak_ns=int(time_ns[peak]),
        peak_reserved_bytes=int(reserved.max()),
        allocations=int(got.sum()),
        frees=int((size < 0).sum()),
        churn_bytes=int(size[got].sum()),
        allocations_per_step=per_step[0] if per_step else None,
        churn_bytes_per_step=per_step[1] if per_step else None,
        device_mallocs=int(gets.sum()),
        device_frees=int((~gets).sum()),
        device_malloc_ns=int(trace.duration_ns[calls].sum()),
    )


def _per_step(time_ns: Ints, size_bytes: Ints, steps: TraceSteps | None) -> tuple[float, float] | None:
    if steps is None or not len(steps):
        return None
    first, last = (np.searchsorted(time_ns, bound) for bound in (steps.start_ns, steps.end_ns))
    before = np.concatenate([[0], np.cumsum(size_bytes)])
    return float(np.median(last - first)), float(np.median(before[last] - before[first]))

"""Calls in which the driver gives memory or takes it back, within the recorded steps."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.trace.reader import Trace

GETS = re.compile(r"Malloc|Alloc|Create", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AllocatorCalls:
    """cudaMalloc, cudaFree and their like; of the whole recording where nothing marks steps."""

    rows: tuple[int, ...]
    """Of the trace."""
    mallocs: int
    frees: int
    total_ns: int
    """Spent in both by the host."""


def allocator_calls(trace: Trace, steps: TraceSteps, host: Host) -> AllocatorCalls:
    """The calls, whatever asked for them."""
    calls = np.flatnonzero(host.allocator & host.runtime)
    if len(steps):
        step = np.searchsorted(steps.start_ns, trace.start_ns[calls], side="right") - 1
        calls = calls[(step >= 0) & (trace.start_ns[calls] < steps.end_ns[step])]
    gets = trace.matches(lambda name: bool(GETS.search(name)))[calls]
    return AllocatorCalls(
        tuple(calls.tolist()), int(gets.sum()), int((~gets).sum()), int(trace.duration_ns[calls].sum())
    )

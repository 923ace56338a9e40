"""The driver's allocations within steps: how many, how long, and whether all of it is given back each time."""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import share
from slowprobe.timeline.device.facts import DeviceFacts

OFTEN = 0.5  # a step
MIN_SHARE = 0.01  # of the time
EVEN = 0.5  # of the frees against the allocations, or the other way round: what is freed is asked for again


def calls_per_step(facts: DeviceFacts) -> float:
    """cudaMalloc, cudaFree and their like in the recorded steps; all of them where nothing marks steps."""
    return (facts.allocator.mallocs + facts.allocator.frees) / max(1, len(facts.steps))


def calls_share(facts: DeviceFacts) -> float:
    """Of the recording, on the host."""
    return share(facts, facts.allocator.total_ns)


def emptied(facts: DeviceFacts) -> bool:
    """Whether about as much is freed as is allocated, in every step."""
    calls = facts.allocator
    return calls.frees >= OFTEN * max(1, len(facts.steps)) and calls.frees >= EVEN * calls.mallocs


def harmless(facts: DeviceFacts) -> str:
    """Why there is nothing to say; empty where there is."""
    if calls_per_step(facts) < OFTEN:
        return f"the driver allocates or frees memory {calls_per_step(facts):.2f} times a step"
    if calls_share(facts) < MIN_SHARE:
        return f"allocating and freeing takes {calls_share(facts):.1%} of the time"
    return ""


def evidence(facts: DeviceFacts) -> dict[str, Any]:
    """What supports a finding."""
    return {
        "allocations": facts.allocator.mallocs,
        "frees": facts.allocator.frees,
        "a step": round(calls_per_step(facts), 2),
        "host's time in them, of all": round(calls_share(facts), 4),
    }

"""The driver's allocations within steps: how many, how long, and whether all of it is given back each time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from slowprobe.diagnose.device_parts import share
from slowprobe.timeline.device.facts import DeviceFacts

OFTEN = 0.5  # a step
MIN_SHARE = 0.01  # of the time
EVEN = 0.5  # of the frees against the allocations, or the other way round: what is freed is asked for again


@dataclass(frozen=True)
class Calls:
    """cudaMalloc, cudaFree and their like, within the recorded steps."""

    facts: DeviceFacts
    rows: tuple[int, ...]
    mallocs: int
    frees: int
    total_ns: int

    @cached_property
    def per_step(self) -> float:
        """Calls a step."""
        return (self.mallocs + self.frees) / max(1, len(self.facts.steps))

    @property
    def share(self) -> float:
        """Of the recording, on the host."""
        return share(self.facts, self.total_ns)

    @property
    def emptied(self) -> bool:
        """Whether about as much is freed as is allocated, in every step."""
        steps = max(1, len(self.facts.steps))
        return self.frees >= OFTEN * steps and self.frees >= EVEN * self.mallocs

    @property
    def harmless(self) -> str:
        """Why there is nothing to say; empty where there is."""
        if self.per_step < OFTEN:
            return f"the driver allocates or frees memory {self.per_step:.2f} times a step"
        if self.share < MIN_SHARE:
            return f"allocating and freeing takes {self.share:.1%} of the time"
        return ""

    @property
    def evidence(self) -> dict[str, Any]:
        """What supports a finding."""
        return {
            "allocations": self.mallocs,
            "frees": self.frees,
            "a step": round(self.per_step, 2),
            "host's time in them, of all": round(self.share, 4),
        }


def calls_of(facts: DeviceFacts) -> Calls:
    """The calls in the recorded steps; all of them where nothing marks steps."""
    calls = facts.allocator
    return Calls(facts, calls.rows, calls.mallocs, calls.frees, calls.total_ns)

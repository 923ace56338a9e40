"""How fast a step and the batches in the making run when they share the machine's cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Doing = Literal["waiting", "taking", "stepping"]

_SETTLED = 1e-4
_ROUNDS = 30


@dataclass(frozen=True)
class Stretch:
    """How many times longer than alone: what the training thread does, and CPU work in a worker; each at least 1.

    spin: how many times its CPU time the step takes: threads that are done wait for the slowest one by spinning.
    """

    loop: float
    making: float
    spin: float = 1.0


@dataclass
class Cores:
    """The cores a run may use, and how a step uses them.

    available: cores, may be a fraction (a cgroup's quota). step: mean number of cores a step uses when alone; threads:
    the most it uses at a time, so it is parallel for (step - 1) / (threads - 1) of its time and serial for the rest.

    coupling: 0 where work that shares a core with a parallel region takes only its part of the machine, 1 where it
    holds up all threads of it, because the region ends with its slowest thread. Measured on 2 cores with OpenMP steps:
    anything between, by the hour.

    held: how many times longer than that a parallel region takes on crowded cores, where it was measured: it waits for
    the time slices of what it shares them with, which may be much longer than the region.
    """

    available: float
    step: float
    threads: int = 0
    coupling: float = 0.5
    held: float = 1.0
    _known: dict[tuple[Doing, int, float], Stretch] = field(default_factory=dict, repr=False)

    def stretch(self, doing: Doing, shares: Sequence[float]) -> Stretch:
        """While the loop is `doing` that and a batch is made for each of `shares`, the part of it that is CPU work."""
        mean = sum(shares) / len(shares) if shares else 0.0
        key = (doing, len(shares), round(mean, 2))
        if key not in self._known:
            self._known[key] = self._solve(doing, len(shares), mean)
        return self._known[key]

    def _solve(self, doing: Doing, making: int, share: float) -> Stretch:
        if doing == "waiting":
            return Stretch(1.0, self._shared(0, making, share))
        serial = self._shared(1, making, share)
        threads = self.threads or max(1, round(self.step + 0.499))
        if doing == "taking" or threads == 1 or self.step <= 1:
            return Stretch(serial, serial)
        parallel = min(1.0, (self.step - 1) / (threads - 1))
        fair = self._shared(threads, making, share)
        crowd = threads + _runnable(making, share, fair) - self.available
        held_up = max(fair, 1 + min(1.0, max(0.0, crowd)))  # a thread that shares its core runs at half speed
        region = (fair + self.coupling * (held_up - fair)) * (1 + (self.held - 1) * min(1.0, max(0.0, crowd)))
        loop = (1 - parallel) * serial + parallel * region
        spin = (1 - parallel + parallel * threads * region / fair) / (1 - parallel + parallel * threads)
        return Stretch(loop, ((1 - parallel) * serial * serial + parallel * region * region) / loop, spin)

    def _shared(self, threads: int, making: int, share: float) -> float:
        """Processor sharing: with more threads than cores all CPU work slows down alike; what sleeps does not.

        The fixed point of stretch = max(1, (threads + runnable(stretch)) / cores), where a batch is runnable for
        share·stretch of 1 - share + share·stretch.
        """
        stretch = 1.0
        for _ in range(_ROUNDS):
            after = max(1.0, (threads + _runnable(making, share, stretch)) / self.available)
            if abs(after - stretch) < _SETTLED:
                break
            stretch = 0.5 * (after + stretch)
        return stretch


def _runnable(making: int, share: float, stretch: float) -> float:
    """How many of the batches in the making want a core, on average."""
    return making * share * stretch / (1 - share + share * stretch)

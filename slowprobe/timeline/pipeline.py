"""The input pipeline as servers and a bounded queue: what a loader's waits would be with other settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HAND_OVER_S = 0.0005  # queue and shared memory, a batch, where it was not measured: 0.2-0.5 ms on Linux, torch 2.13
WORKER_START_S = 0.03  # fork of a torch process until its first batch begins, a worker; a spawned one takes seconds
_ROUNDS = 12


@dataclass(frozen=True)
class Cores:
    """What the machine has and what each side takes: cores, cores used by the step, CPU share of making a batch.

    coupling: 0 where work that shares a core with the step only takes its part of the machine, 1 where it holds up all
    of the step's threads, because each parallel region ends with its slowest thread. Measured on 2 cores with OpenMP
    steps: anything between, by the hour.
    """

    available: float
    step: float
    batch: float
    coupling: float = 0.5

    def stretch(self, making: float) -> float:
        """How much longer the step takes while `making` batches are being made."""
        taken = making * self.batch
        shared = max(1.0, (self.step + taken) / self.available)
        if self.step <= 1 or taken + self.step <= self.available / 2:
            return shared
        held_up = 1.0 + min(1.0, taken * min(1.0, 2 * self.step / self.available))
        return shared + self.coupling * (max(held_up, shared) - shared)


def waits(make: Floats, consume: Floats, num_workers: int, prefetch: int, hand_over_s: float = HAND_OVER_S) -> Floats:
    """Seconds the loop waits for each batch of one pass, with `num_workers` ≥ 1 servers and a queue that keeps order.

    Batch i is made by worker i mod n (as torch hands out index batches), which begins it once batch i − n·prefetch has
    been taken. make, consume: seconds a batch, equally long. hand_over_s: what the training thread pays for each batch
    that comes from another process.
    """
    free = [0.0] * num_workers
    ahead = num_workers * prefetch
    taken: list[float] = []
    result = np.empty(len(make))
    now = 0.0
    for index, (cost, use) in enumerate(zip(make.tolist(), consume.tolist(), strict=True)):
        worker = index % num_workers
        begun = max(free[worker], taken[index - ahead] if index >= ahead else 0.0)
        free[worker] = begun + cost
        arrived = max(now, free[worker]) + hand_over_s
        result[index] = arrived - now
        taken.append(arrived)
        now = arrived + use
    return result


def contended_waits(
    make: Floats, consume: Floats, num_workers: int, prefetch: int, cores: Cores, hand_over_s: float = HAND_OVER_S
) -> tuple[Floats, float]:
    """Waits when workers and the step share the cores, and the factor by which the step itself then stretches.

    Processor sharing: while demand exceeds the cores, everybody slows down alike; solved by fixed-point iteration.
    """
    slow_make = slow_step = 1.0
    result = np.zeros(len(make))
    if not len(make):
        return result, 1.0
    for _ in range(_ROUNDS):
        result = waits(make * slow_make, consume * slow_step, num_workers, prefetch, hand_over_s)
        total = float(result.sum() + (consume * slow_step).sum()) or 1.0
        working = min(1.0, float((consume * slow_step).sum()) / total)
        making = min(float(num_workers), float((make * slow_make).sum()) / total)
        while_step = cores.stretch(making)
        while_make = (working * cores.step + max(making, 1.0) * cores.batch) / cores.available
        slow_step += 0.5 * (max(1.0, while_step) - slow_step)
        slow_make += 0.5 * (max(1.0, while_make) - slow_make)
    return result, slow_step

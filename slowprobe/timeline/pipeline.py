"""The input pipeline as servers and a bounded queue: what a loader's waits would be with other settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HAND_OVER_S = 0.0003  # queue and shared memory, a batch: measured 0.2-0.5 ms on torch 2.13 for batches below 1 MB
WORKER_START_S = 0.03  # fork of a torch process until its first batch begins, a worker; a spawned one takes seconds
_ROUNDS = 12


@dataclass(frozen=True)
class Cores:
    """What the machine has and what each side takes: cores, cores used by the step, CPU share of making a batch."""

    available: float
    step: float
    batch: float


def waits(make: Floats, consume: Floats, num_workers: int, prefetch: int) -> Floats:
    """Seconds the loop waits for each batch of one pass, with `num_workers` ≥ 1 servers and a queue that keeps order.

    Batch i is made by worker i mod n (as torch hands out index batches), which begins it once batch i − n·prefetch has
    been taken. make, consume: seconds a batch, equally long.
    """
    free = [0.0] * num_workers
    ahead = num_workers * prefetch
    taken: list[float] = []
    result = np.empty(len(make))
    now = 0.0
    for index, (cost, use) in enumerate(zip(make.tolist(), consume.tolist(), strict=True)):
        worker = index % num_workers
        begun = max(free[worker], taken[index - ahead] if index >= ahead else 0.0)
        free[worker] = begun + cost + HAND_OVER_S
        arrived = max(now, free[worker])
        result[index] = arrived - now
        taken.append(arrived)
        now = arrived + use
    return result


def contended_waits(
    make: Floats, consume: Floats, num_workers: int, prefetch: int, cores: Cores
) -> tuple[Floats, float]:
    """Waits when workers and the step share the cores, and the factor by which the step itself then stretches.

    Processor sharing: while demand exceeds the cores, everybody slows down alike; solved by fixed-point iteration.
    """
    slow_make = slow_step = 1.0
    result = np.zeros(len(make))
    if not len(make):
        return result, 1.0
    for _ in range(_ROUNDS):
        result = waits(make * slow_make, consume * slow_step, num_workers, prefetch)
        total = float(result.sum() + (consume * slow_step).sum()) or 1.0
        working = min(1.0, float((consume * slow_step).sum()) / total)
        making = min(float(num_workers), float((make * slow_make).sum()) / total)
        while_step = (cores.step + making * cores.batch) / cores.available
        while_make = (working * cores.step + max(making, 1.0) * cores.batch) / cores.available
        slow_step += 0.5 * (max(1.0, while_step) - slow_step)
        slow_make += 0.5 * (max(1.0, while_make) - slow_make)
    return result, slow_step

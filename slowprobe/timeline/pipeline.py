"""The input pipeline as servers and a bounded queue: what a loader's waits would be with other settings."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.sharing import Cores, Doing

Floats = npt.NDArray[np.float64]

_NOW = 1e-12  # seconds of work left that are rounding


@dataclass(frozen=True)
class Settings:
    """What a DataLoader is told. pin_s: seconds to copy a batch into pinned memory, 0 where nothing is pinned."""

    num_workers: int
    prefetch_factor: int = 2
    in_order: bool = True
    pin_s: float = 0.0


@dataclass(frozen=True)
class HandOver:
    """What a batch from another process costs, in seconds.

    take_s: the training thread, to receive and map it. give_s: the worker, to send it. lock_s: how long the request for
    a tensor's memory waits for the interpreter lock of its worker, if that computes on its next batch, at most until
    that is made; a worker that sleeps answers at once.
    """

    take_s: float
    give_s: float = 0.0
    lock_s: float = 0.0


NO_HAND_OVER = HandOver(0.0)


@dataclass(frozen=True)
class PassTimes:
    """One simulated pass, seconds a batch in the order of delivery.

    wait: from the request to the batch; consume: from there to the next request, stretched by what shares its cores;
    make: wall time of making a batch. order: which batch was delivered. spin: CPU time of the steps over what it is
    alone.
    """

    wait: Floats
    consume: Floats
    make: Floats
    order: list[int]
    spin: float = 1.0

    @property
    def total_s(self) -> float:
        """The whole pass."""
        return float(self.wait.sum() + self.consume.sum())


def simulate(
    cpu: Floats, idle: Floats, consume: Floats, settings: Settings, cores: Cores, hand_over: HandOver = NO_HAND_OVER
) -> PassTimes:
    """One pass over len(cpu) batches, from an empty queue.

    cpu, idle: seconds of CPU work and of sleeping or waiting for storage in one batch; consume: the step after it; all
    when alone on the machine and equally long. As torch does it: index batches are dealt to the workers in turn,
    `prefetch_factor` each to begin with and one more for each batch delivered; without `in_order` a batch is delivered
    when it is there, and a worker is skipped while it has its `prefetch_factor` in hand.
    """
    if settings.num_workers == 0:
        make = cpu + idle
        return PassTimes(make + settings.pin_s, consume.astype(float), make, list(range(len(cpu))))
    return _Pass(cpu.tolist(), idle.tolist(), consume.tolist(), settings, cores, hand_over).run()


class _Pass:
    """The state of one pass: an event is a batch made, a batch received, or a step done."""

    def __init__(
        self,
        cpu: list[float],
        idle: list[float],
        consume: list[float],
        settings: Settings,
        cores: Cores,
        hand_over: HandOver,
    ) -> None:
        self.cpu = [seconds + hand_over.give_s for seconds in cpu]
        self.idle = idle
        self.consume = consume
        self.settings = settings
        self.cores = cores
        self.hand_over = hand_over
        workers = settings.num_workers
        self.queues: list[deque[int]] = [deque() for _ in range(workers)]
        self.in_hand = [0] * workers  # dealt and not yet delivered
        self.making: dict[int, list[float]] = {}  # worker: [work left, begun]; the batch is the first of its queue
        self.producer: dict[int, int] = {}
        self.arrived: list[tuple[int, int]] = []  # heap of (batch, or arrival number without order; batch)
        self.pinning: list[tuple[float, int]] = []  # (when pinned, batch)
        self.pinned_until = 0.0
        self.now = 0.0
        self.dealt = self.arrivals = self.turn = 0
        self.make = [0.0] * len(cpu)
        self.spun = 0.0

    def run(self) -> PassTimes:
        count = len(self.cpu)
        for _ in range(self.settings.num_workers * self.settings.prefetch_factor):
            self._deal()
        wait, consume, order = [], [], []
        for number in range(count):
            asked = self.now
            batch = self._next_batch(number)
            worker = self.producer[batch]
            self._unlock(worker)
            self._spend("taking", self.hand_over.take_s)
            wait.append(self.now - asked)
            order.append(batch)
            self.in_hand[worker] -= 1
            self._deal()
            begun = self.now
            self._spend("stepping", self.consume[number])
            consume.append(self.now - begun)
        stepped = sum(self.consume)
        spin = self.spun / stepped if stepped else 1.0
        return PassTimes(np.array(wait), np.array(consume), np.array(self.make), order, spin)

    def _deal(self) -> None:
        """Hand the next index batch to a worker."""
        if self.dealt == len(self.cpu):
            return
        workers = self.settings.num_workers
        for _ in range(workers):
            worker = self.turn
            self.turn = (self.turn + 1) % workers
            if self.settings.in_order or self.in_hand[worker] < self.settings.prefetch_factor:
                break
        else:
            return
        self.producer[self.dealt] = worker
        self.in_hand[worker] += 1
        self.queues[worker].append(self.dealt)
        self.dealt += 1
        if worker not in self.making:
            self._begin(worker)

    def _begin(self, worker: int) -> None:
        batch = self.queues[worker][0]
        self.making[worker] = [self.cpu[batch] + self.idle[batch], self.now]

    def _share(self, worker: int) -> float:
        """The part of the batch in the making that is CPU work."""
        batch = self.queues[worker][0]
        work = self.cpu[batch] + self.idle[batch]
        return self.cpu[batch] / work if work > 0 else 1.0

    def _next_batch(self, number: int) -> int:
        """Wait until the batch to be delivered now is there."""
        while True:
            while self.pinning and self.pinning[0][0] <= self.now + _NOW:
                self._arrive(heapq.heappop(self.pinning)[1])
            if self.arrived and (not self.settings.in_order or self.arrived[0][1] == number):
                return heapq.heappop(self.arrived)[1]
            self._advance("waiting", self.pinning[0][0] - self.now if self.pinning else math.inf)

    def _unlock(self, worker: int) -> None:
        """Wait until the worker's interpreter answers."""
        if worker not in self.making:
            return
        current, left = self.queues[worker][0], self.hand_over.lock_s * self._share(worker)
        while left > _NOW and worker in self.making and self.queues[worker][0] == current:
            left -= self._advance("waiting", left)

    def _arrive(self, batch: int) -> None:
        heapq.heappush(self.arrived, (batch if self.settings.in_order else self.arrivals, batch))
        self.arrivals += 1

    def _spend(self, doing: Doing, work: float) -> None:
        """The training thread works for `work` seconds, longer where it shares a core."""
        while work > _NOW:
            work -= self._advance(doing, work)

    def _advance(self, doing: Doing, limit: float) -> float:
        """Go on to the next event; returns how much of its own work the training thread got done, at most `limit`."""
        workers = list(self.making)
        shares = [self._share(worker) for worker in workers]
        stretch = self.cores.stretch(doing, shares)
        slower = [1 - share + share * stretch.making for share in shares]
        ends = [self.making[worker][0] * slow for worker, slow in zip(workers, slower, strict=True)]
        passed = min([*ends, limit * stretch.loop])
        self.now += passed
        for worker, slow, end in zip(workers, slower, ends, strict=True):
            if end - passed > _NOW:
                self.making[worker][0] -= passed / slow
            else:
                self._made(worker)
        done = min(limit, passed / stretch.loop)
        self.spun += done * stretch.spin if doing == "stepping" else 0.0
        return done

    def _made(self, worker: int) -> None:
        batch = self.queues[worker].popleft()
        self.make[batch] = self.now - self.making.pop(worker)[1]
        if self.settings.pin_s:
            self.pinned_until = max(self.now, self.pinned_until) + self.settings.pin_s
            heapq.heappush(self.pinning, (self.pinned_until, batch))
        else:
            self._arrive(batch)
        if self.queues[worker]:
            self._begin(worker)

"""The background thread: samples the stack, and carries what was recorded to disk."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial

from slowprobe.capture.turn_taking import wait_exactly

PERIOD_S = 0.01  # 100 Hz at most
LONGEST_PERIOD_S = 0.1
EARLY_S = 20.0
EARLY_SHARE = 0.01  # of the time goes to sampling at first, while short runs are decided: some 50 samples a second
LATER_SHARE = 0.002  # then lines are known, and the samples only keep their shares up to date
SETTLING_S = 0.3  # by when a new cost counts: stacks of imports take ten times as long as those of the loop after them
USUAL_OF = 3  # samples: one of 4 ms (a stack met for the first time) kept the next second of a loop at ten a second
FLUSH_PERIOD_S = 1.0
LATER_FLUSH_S = 2.0  # what a kill loses at most, once a run is no longer a short one


class Pulse(threading.Thread):
    """Calls `sample` as often as its cost allows and `flush` every second or two, until `stop`.

    A deep stack or a slow machine makes a sample dearer (20 to 200 µs), and samples rarer. Sampling times are jittered,
    so that a loop whose period divides the sampling period is still seen everywhere.
    `sample` is told when it was due: what it comes later, this thread waited for the interpreter.
    Faults of either function stop only that function and are handed to `report`.
    """

    def __init__(
        self, sample: Callable[[int], None], flush: Callable[[], None], report: Callable[[str, BaseException], None]
    ) -> None:
        super().__init__(name="slowprobe", daemon=True)
        self._sample = sample
        self._flush = flush
        self._report = report
        self._stopping = threading.Lock()  # not an Event: waiting for one is Python code that runs at every beat
        self._stopping.acquire()
        self._random = random.Random(0)  # our own: the user's generators stay untouched
        self._stopped = False
        self.cpu_ns = 0

    def run(self) -> None:
        """Beat until told to stop."""
        sampling = flushing = True
        wait_exactly()  # for the interpreter: until then, short Python code would be over
        began = time.monotonic()
        next_flush = began + FLUSH_PERIOD_S
        cost_s = 0.0
        latest_s: deque[float] = deque(maxlen=USUAL_OF)
        while True:
            last = time.monotonic()
            pause_s = period_s(cost_s, last - began) * (0.5 + self._random.random())
            due_ns = time.perf_counter_ns() + int(pause_s * 1e9)
            if self._stopping.acquire(timeout=pause_s):
                break
            if sampling:
                begin = time.thread_time()  # what passes while the training thread has the interpreter costs nothing
                sampling = self._guarded("sampler", partial(self._sample, due_ns))
                latest_s.append(time.thread_time() - begin)
                cost_s = settled(cost_s, usual(latest_s), time.monotonic() - last)
            if flushing and time.monotonic() >= next_flush:
                now = time.monotonic()
                next_flush = now + (FLUSH_PERIOD_S if now - began < EARLY_S else LATER_FLUSH_S)
                flushing = self._guarded("flush", self._flush)
        self.cpu_ns = time.thread_time_ns()

    def _guarded(self, topic: str, work: Callable[[], None]) -> bool:
        try:
            work()
        except Exception as error:
            self._report(topic, error)
            return False
        return True

    def stop(self) -> None:
        """End the thread and wait for it."""
        if not self._stopped:
            self._stopped = True
            self._stopping.release()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(timeout=5)


def usual(latest_s: Collection[float]) -> float:
    """The median of the latest samples' costs: a single dear one is paid once, and says nothing of the next."""
    return sorted(latest_s)[len(latest_s) // 2]


def settled(cost_s: float, latest_s: float, gap_s: float) -> float:
    """The cost of a sample as it is known after one of `latest_s`, `gap_s` after the one before.

    By time and not by number: where samples are rare for their cost, a number of them would take seconds.
    """
    return cost_s + min(1.0, gap_s / SETTLING_S) * (latest_s - cost_s)


def period_s(cost_s: float, elapsed_s: float) -> float:
    """Seconds between two samples that cost `cost_s` each, `elapsed_s` after the start."""
    share = EARLY_SHARE if elapsed_s < EARLY_S else LATER_SHARE
    return min(max(PERIOD_S, cost_s / share), LONGEST_PERIOD_S)

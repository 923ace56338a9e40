"""The background thread: samples the stack, and carries what was recorded to disk once a second."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

FAST_PERIOD_S = 0.01
SLOW_PERIOD_S = 0.04
FAST_SAMPLES = 6_000  # the first minute at 100 Hz; later lines are known and 25 Hz keep their shares up to date
FLUSH_PERIOD_S = 1.0


class Pulse(threading.Thread):
    """Calls `sample` at the sampling rate and `flush` once a second, until `stop`.

    Sampling times are jittered, so that a loop whose period divides the sampling period is still seen everywhere.
    Faults of either function stop only that function and are handed to `report`.
    """

    def __init__(
        self, sample: Callable[[], None], flush: Callable[[], None], report: Callable[[str, BaseException], None]
    ) -> None:
        super().__init__(name="slowprobe", daemon=True)
        self._sample = sample
        self._flush = flush
        self._report = report
        self._stopping = threading.Event()
        self._random = random.Random(0)  # our own: the user's generators stay untouched
        self.cpu_ns = 0

    def run(self) -> None:
        """Beat until told to stop."""
        beats = 0
        sampling = flushing = True
        next_flush = time.monotonic() + FLUSH_PERIOD_S
        while True:
            period = FAST_PERIOD_S if beats < FAST_SAMPLES else SLOW_PERIOD_S
            if self._stopping.wait(period * (0.5 + self._random.random())):
                return
            beats += 1
            if sampling:
                sampling = self._guarded("sampler", self._sample)
            if flushing and time.monotonic() >= next_flush:
                next_flush = time.monotonic() + FLUSH_PERIOD_S
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
        self._stopping.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(timeout=5)

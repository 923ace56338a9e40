"""How soon the sampling thread gets the interpreter: fast while it disturbs nobody, and as before otherwise.

A waiting thread asks for the interpreter lock after the switch interval (5 ms by default). Until then the sampled
thread runs on, past short pure-Python code, to the next call that lets go by itself: at 1 ms, code of 0.35 ms was never
seen; at 50 µs it was given 36 of its 43 %. But where several Python threads compete, each would ask that often: a loop
beside a thread that computes in Python waits 5 ms for it again and again, and at 1 ms lost a fifth of that.

Linux ends a timed wait up to 50 µs late (the timer slack of a thread). Items that make a tensor let go after 60 to 200
µs: with that slack, 3 of 180 samples fell into the 60 % of an item before its tensor, whatever the interval; without
it and at 20 µs, 50 to 70 of 180. At 10 µs there were 80 to 100, for three times the CPU time of asking (0.2 ms a
sample).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

ALONE_S = 2e-5  # at 5 µs the waiting thread kept a third of a core busy by asking again and again
WORKER_S = 2e-5  # items take µs: the sampler must not wait for the next line that lets go by itself
_PR_SET_TIMERSLACK = 29  # of linux/prctl.h
_SLACK_NS = 1  # the least: 0 would be the default again
BURST_S, PERIOD_S = 0.25, 1.0
NATURAL_EVERY = 2  # beats; then the sampler waits for the interpreter as any thread of the user's would


def wait_exactly() -> None:
    """Let timed waits of the calling thread, and of no other, end when they should."""
    if sys.platform == "linux":
        with contextlib.suppress(Exception):
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)


class TurnTaking:
    """Sets the interpreter's switch interval from `start` to `restore`; never above what the user has set."""

    def __init__(self) -> None:
        self._users = sys.getswitchinterval()
        self._set = self._users
        self._beats = 0
        self.natural = False
        """Whether the user's own interval is set: the next beat measures how long that makes a thread wait."""

    def start(self) -> None:
        """Begin, with the user's interval: while a script imports, asking often takes CPU time and finds no more."""
        self._users = self._set = sys.getswitchinterval()

    def hold(self) -> None:
        """While a sample is taken, let the sampled thread ask as seldom as without slowprobe: it is over sooner."""
        self._change(self._users)

    def adapt(self, contended: bool, measures: bool) -> None:
        """Follow whether other Python threads are at work; measures: whether to find out what they would wait.

        Beside others the interval is the user's: the training thread itself waits that long for them at every turn, and
        would be faster than without slowprobe.
        """
        self._beats += 1
        self.natural = measures and not contended and self._beats % NATURAL_EVERY == 0
        self._change(self._users if self.natural or contended else ALONE_S)

    def restore(self) -> None:
        """Put the user's interval back, unless they have changed it since."""
        if sys.getswitchinterval() == self._set:
            sys.setswitchinterval(self._users)

    def _change(self, interval_s: float) -> None:
        interval_s = min(interval_s, self._users)
        if interval_s != self._set and sys.getswitchinterval() == self._set:
            sys.setswitchinterval(interval_s)
            self._set = sys.getswitchinterval()


class SamplingBursts:
    """When a loader worker is sampled: a quarter of each second, with a short switch interval meanwhile.

    In Python's own interval of 5 ms a worker that computes keeps the training thread waiting for the memory of its
    tensors, by up to 10 ms a batch. All the time with a short one, training would run faster than without slowprobe.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._users = sys.getswitchinterval()
        self._short = False

    def now(self) -> bool:
        """Whether to sample now; sets the interval accordingly, and never above what the user has set."""
        short = (self._clock() - self._began_s) % PERIOD_S < BURST_S
        if short != self._short:
            if short:
                self._users = sys.getswitchinterval()
            sys.setswitchinterval(min(self._users, WORKER_S) if short else self._users)
            self._short = short
        return short

"""The CPU clock of one thread."""

from __future__ import annotations

import time
from collections.abc import Callable


def thread_cpu_clock(thread: int) -> Callable[[], int]:
    """A clock of the CPU time that `thread` of this process has used, in ns; a constant where there is none."""
    try:
        clock_id = time.pthread_getcpuclockid(thread)
        time.clock_gettime_ns(clock_id)
    except (AttributeError, OSError):
        return lambda: 0
    latest = 0

    def read() -> int:
        nonlocal latest
        try:  # noqa: SIM105 (a context manager takes longer than the clock, and this runs at every sample)
            latest = time.clock_gettime_ns(clock_id)
        except OSError:
            pass  # the thread has ended
        return latest

    return read

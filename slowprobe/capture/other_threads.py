"""What the other Python threads of the training process do: their stacks and CPU time, while they are at work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from slowprobe.capture.thread_clock import thread_cpu_clock

# Where a thread that waits stands, as slowprobe's own does between two samples.
_WAITING = ("threading.py", "queue.py", "selectors.py", "connection.py", "socket.py", "subprocess.py", "popen_fork.py")
MAX_THREADS = 8  # of those at work in one sample; reading a clock takes a microsecond, and a stack some 5
MAX_CLOCKS = 32
WORKED_NS = 200_000  # since the sample before: a thread that waits now, but did not all the time


class OtherThreads:
    """Merges samples of threads by stack; `number` gives a stack's number.

    A thread that works in C code without giving up the interpreter is never seen at it: samples are taken when it does,
    and by then it may wait. Its clock tells, and the time counts for where it was last seen at work.
    """

    def __init__(self, number: Callable[[FrameType], int]) -> None:
        self._number = number
        self._clocks: dict[int, Callable[[], int]] = {}
        self._before: dict[int, int] = {}
        self._worked: dict[int, int] = {}
        """The stack where a thread was last seen at work."""
        self._rows: dict[int, list[int]] = {}

    def sample(self, frames: dict[int, FrameType]) -> bool:
        """Of the frames by thread, count those at work; whether there are any."""
        self._clocks = {thread: clock for thread, clock in self._clocks.items() if thread in frames}
        counted = 0
        waiting = {thread: _waits(frame) for thread, frame in frames.items()}
        for thread in sorted(frames, key=lambda thread: waiting[thread])[:MAX_CLOCKS]:
            frame, waits = frames[thread], waiting[thread]
            now, used_ns = self._used_ns(thread)
            if (waits and used_ns < WORKED_NS) or counted == MAX_THREADS:
                continue
            counted += 1
            self._before[thread] = now
            stack = self._worked.get(thread) if waits else None
            if stack is None:
                stack = self._number(frame)
            if not waits:
                self._worked[thread] = stack
            row = self._rows.setdefault(stack, [0, 0])
            row[0] += 1
            row[1] += used_ns
        return counted > 0

    def _used_ns(self, thread: int) -> tuple[int, int]:
        """Its clock, and CPU time since it was last counted."""
        clock = self._clocks.get(thread)
        if clock is None:
            clock = self._clocks[thread] = thread_cpu_clock(thread)
            self._before[thread] = clock()
            self._worked.pop(thread, None)  # an identity may be another thread's by now
        now = clock()
        return now, max(0, now - self._before[thread])

    def take(self) -> list[list[int]]:
        """The rows since the last call."""
        rows, self._rows = self._rows, {}
        return [[stack, *row] for stack, row in rows.items()]


def _waits(frame: FrameType) -> bool:
    return frame.f_code.co_filename.endswith(_WAITING)


class RunDelay:
    """How long a thread was ready to run and had no core, as Linux counts it."""

    def __init__(self, thread: int) -> None:
        known = next((each.native_id for each in threading.enumerate() if each.ident == thread), None)
        self._path = Path(f"/proc/self/task/{known}/schedstat")
        self._before = self._read()

    def _read(self) -> int | None:
        try:
            return int(self._path.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return None

    def take(self) -> int:
        """ns since the last call; −1 where it is not counted."""
        before, self._before = self._before, self._read()
        return -1 if before is None or self._before is None else max(0, self._before - before)

"""The stack sampler: which Python lines the training thread is on, up to a hundred times a second."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType

from slowprobe.capture.other_threads import OtherThreads, RunDelay
from slowprobe.capture.sites import PACKAGE, absolute
from slowprobe.capture.span_key import split_key
from slowprobe.capture.thread_clock import thread_cpu_clock
from slowprobe.run.sample_records import Frames, Samples
from slowprobe.run.sample_records import OtherThreads as OtherThreadsRecord

MAX_STACKS = MAX_PLACES = 20_000
_MAX_DEPTH = 80
_MAX_FRAMES = 400
_OWN = -1  # the number of slowprobe's own frames
_FRAMES_COLLECT = sys.version_info < (3, 12)

Context = Callable[[], tuple[int, bool]]
"""Answers with the key of the innermost open span (or the last closed outermost one) and whether it is open."""


class StackSampler:
    """Merges samples by (context, stack); frames inside slowprobe are left out of the stacks."""

    def __init__(self, thread: int, origin_ns: int, context: Context) -> None:
        self.thread = thread
        self.taken = 0
        self.new_files: list[str] = []
        self.contended = False
        """Whether another Python thread was running, too, when the last sample was taken."""
        self._origin_ns = origin_ns
        self._context = context
        self._cpu_clock = thread_cpu_clock(thread)
        self._others = OtherThreads(lambda frame: self._stack(_places(frame)))
        self._run_delay = RunDelay(thread)
        self._rows: dict[tuple[int, bool, int], list[int]] = {}
        self._places: dict[tuple[int, int], tuple[int, CodeType]] = {}
        self._frames: dict[tuple[str, int, str], int] = {}
        self._stacks: dict[tuple[int, ...], int] = {}
        self._files: set[str] = set()
        self._new = Frames()
        self._since_ns = self._last_ns = time.perf_counter_ns()
        self._last_cpu = self._cpu_clock()
        self._last_process_cpu = time.process_time_ns()

    def sample(self) -> None:
        """Read the thread's stack once."""
        places, self.contended = _read_places(self.thread, self._others)
        key, is_open = self._context()
        now, cpu, process_cpu = time.perf_counter_ns(), self._cpu_clock(), time.process_time_ns()
        if not places:
            return
        row = self._rows.setdefault((key, is_open, self._stack(places)), [0, 0, 0, 0])
        row[0] += 1
        row[1] += now - self._last_ns
        row[2] += cpu - self._last_cpu
        row[3] += process_cpu - self._last_process_cpu
        self._last_ns, self._last_cpu, self._last_process_cpu = now, cpu, process_cpu
        self.taken += 1

    def follow(self, thread: int) -> None:
        """Sample another thread from now on."""
        self.thread, self._cpu_clock = thread, thread_cpu_clock(thread)
        self._run_delay = RunDelay(thread)
        self.skip()

    def skip(self) -> None:
        """Let the time since the last sample count for nothing (the thread is idle by design)."""
        self._last_ns, self._last_cpu = time.perf_counter_ns(), self._cpu_clock()
        self._last_process_cpu = time.process_time_ns()

    def _stack(self, places: list[tuple[CodeType, int]]) -> int:
        known, path = self._places, []
        for code, instruction in places:
            place = known.get((id(code), instruction))
            if place is None:
                if len(known) >= MAX_PLACES:  # a script that makes code as it runs; what is known is only a short cut
                    known.clear()
                # The code is kept alive, so that its address stays its own; its hash would read all of it.
                place = known[id(code), instruction] = self._frame(code, instruction), code
            if place[0] >= 0:
                path.append(place[0])
        del path[_MAX_DEPTH:]
        path.reverse()
        key = tuple(path)
        number = self._stacks.get(key)
        if number is not None:
            return number
        if len(self._stacks) >= MAX_STACKS:
            key = key[-1:]
            if key in self._stacks:
                return self._stacks[key]
        number = self._stacks[key] = len(self._stacks)
        self._new.stacks.append((number, list(key)))
        return number

    def _frame(self, code: CodeType, instruction: int) -> int:
        if code.co_filename.startswith(PACKAGE):
            return _OWN
        line = next((line for start, end, line in code.co_lines() if start <= instruction < end), None) or 0
        frame = absolute(code.co_filename), line, code.co_qualname
        known = self._frames.get(frame)
        if known is not None:
            return known
        number = self._frames[frame] = len(self._frames)
        file = frame[0]
        self._new.frames.append((number, *frame))
        if file not in self._files:
            self._files.add(file)
            self.new_files.append(file)
        return number

    def take(self) -> list[Frames | Samples | OtherThreadsRecord]:
        """The records since the last call; empty when there was nothing."""
        if not self._rows:
            return []
        rows = [[*split_key(key), int(is_open), stack, *row] for (key, is_open, stack), row in self._rows.items()]
        others, delay_ns = self._others.take(), self._run_delay.take()
        records: list[Frames | Samples | OtherThreadsRecord] = [self._new] if self._new.stacks else []
        start_ns, end_ns = self._since_ns - self._origin_ns, self._last_ns - self._origin_ns
        records.append(Samples(start_ns=start_ns, end_ns=end_ns, rows=rows))
        if others:
            records.append(OtherThreadsRecord(start_ns=start_ns, end_ns=end_ns, rows=others, run_delay_ns=delay_ns))
        self._rows, self._new, self._since_ns = {}, Frames(frames=[], stacks=[]), self._last_ns
        return records


def _read_places(thread: int, others: OtherThreads) -> tuple[list[tuple[CodeType, int]], bool]:
    """Code and instruction of every frame of another thread, innermost first; and whether further threads are at work.

    What those do is for `others`.

    Until Python 3.12 a frame object made by ``f_back`` can set off a collection; a callback of the collector lets the
    thread run on, and the frame being looked at is gone: a crash. So the collector waits for these microseconds.
    """
    collecting = _FRAMES_COLLECT and gc.isenabled()
    if collecting:
        gc.disable()
    try:
        threads = sys._current_frames()
        frame = threads.pop(thread, None)
        threads.pop(threading.get_ident(), None)
        return _places(frame), bool(threads) and others.sample(threads)
    finally:
        if collecting:
            gc.enable()


def _places(frame: FrameType | None) -> list[tuple[CodeType, int]]:
    places: list[tuple[CodeType, int]] = []
    while frame is not None and len(places) < _MAX_FRAMES:
        places.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return places

"""Spans of the training thread: opened and closed by the probes, half a microsecond each."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from slowprobe.capture.late_numpy import Ints, np
from slowprobe.capture.span_key import SUBJECT_BITS, span_key, split_key, subject_of
from slowprobe.capture.span_rows import ENDED, RENAMED, SpanRows
from slowprobe.run.schema import KINDS, SpanKind

KIND: dict[SpanKind, int] = {kind: number for number, kind in enumerate(KINDS)}
_MAX_LOG = 4_000_000  # numbers (150 MB); reached only when the flushing thread is starved
_NO_THREAD = 0


class Recorder:
    """A stack of open spans and a log of their beginnings and ends, for one thread.

    The training thread only appends; what a span lasted, and how much of it nested ones took, is worked out by `take`
    on the flushing thread. Probes ask first whether they are on the recorded thread (`here()`, or, where every
    microsecond counts, ``get_ident() == recorder.thread``): calls on other threads and in forked children are not
    recorded. A span that an exception left open is closed when an outer one closes. Nothing here raises into the
    training: a fault disables the recorder and is kept in `fault`.
    """

    __slots__ = ("_log", "_rows", "_write", "clock", "fault", "last_key", "origin_ns", "pid", "stack", "thread")

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns, origin_ns: int = 0) -> None:
        self.clock = clock
        self.origin_ns = origin_ns
        self.thread = threading.get_ident()
        """The recorded thread; that of nobody once recording is off."""
        self.pid = os.getpid()
        self.fault: str | None = None
        self.stack: list[int] = []
        """The keys of the open spans, outermost first."""
        self.last_key = -1
        """The span that ended last; the last outermost one where none is open."""
        self._log: list[int] = []
        self._write = self._log.extend  # a pair at once: a collection or a signal must not come between its halves
        self._rows = SpanRows(origin_ns)

    @property
    def enabled(self) -> bool:
        """Whether anything is recorded."""
        return self.thread != _NO_THREAD

    def disable(self) -> None:
        """Record nothing more."""
        self.thread = _NO_THREAD

    def here(self) -> bool:
        """Whether the caller runs on the recorded thread while recording is on."""
        return threading.get_ident() == self.thread

    def adopt(self) -> None:
        """Record the calling thread from now on; what another one had open ends here."""
        self.thread = threading.get_ident()
        self.close_all()

    def inside(self, *kinds: int) -> bool:
        """Whether a span of one of `kinds` is open."""
        for key in self.stack:  # noqa: SIM110 (a generator costs more than the rest of this)
            if key >> SUBJECT_BITS in kinds:
                return True
        return False

    def open(self, key: int) -> None:
        """Begin a span."""
        try:
            self._write((key, self.clock()))  # before the stack: a Ctrl-C in between must not end a span twice
            self.stack.append(key)
        except Exception as error:
            self.fail(error)

    def close(self, key: int, as_kind: int | None = None) -> None:
        """End the innermost open span `key`, and those that an exception left open inside it."""
        try:
            now = self.clock()
            stack = self.stack
            if not stack or stack[-1] != key:
                if key not in stack:
                    return  # opened before recording began
                while stack[-1] != key:
                    stack.pop()
                    self._write((ENDED, now))
            stack.pop()
            if as_kind is None:
                self._write((ENDED, now))
            else:
                key = span_key(as_kind, subject_of(key))
                self._write((RENAMED - key, now))
            self.last_key = key
        except Exception as error:
            self.fail(error)

    def close_all(self) -> None:
        """End every open span (the run is over)."""
        while self.stack and self.fault is None:
            self.close(self.stack[-1])

    def open_rows(self) -> list[list[int]]:
        """The spans open at the last `take`, outermost first: [kind, subject, since_ns]."""
        return [[*split_key(key), since] for key, since in self._rows.still_open()]

    def take(self) -> Ints:
        """The spans closed since the last call, a row of `FIELDS` each; called from the flushing thread."""
        whole = len(self._log) // 2 * 2
        taken = self._log[:whole]
        del self._log[:whole]  # in place: the training thread may be about to add to its end
        return self._rows.add(np.fromiter(taken, dtype=np.int64, count=whole).reshape(-1, 2))

    @property
    def closed(self) -> int:
        """How many spans have ended."""
        return self._rows.closed + sum(code < 0 for code in self._log[::2])

    @property
    def crowded(self) -> bool:
        """Whether the log waits too long for the flushing thread."""
        return len(self._log) > _MAX_LOG

    def fail(self, error: BaseException) -> None:
        """Stop recording for good; the training goes on."""
        self.disable()
        self.fault = f"{type(error).__name__}: {error}"

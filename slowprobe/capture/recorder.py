"""Spans of the training thread: opened and closed by the probes, a microsecond each."""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections.abc import Callable

from slowprobe.run.schema import KINDS, SpanKind

KIND: dict[SpanKind, int] = {kind: number for number, kind in enumerate(KINDS)}
SUBJECT_BITS = 32
_GC = KIND["gc"]
FIELDS = 5  # key, start, duration, self, depth
_MAX_BUFFER = 4_000_000  # integers (32 MB); reached only when the flushing thread is starved


class Recorder:
    """A stack of open spans and a flat buffer of closed ones, for one thread.

    Probes ask `here()` first: calls on other threads and in forked children are not recorded. A span that an exception
    left open is closed when an outer one closes. Nothing here raises into the training: a fault disables the recorder
    and is kept in `fault`.
    """

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns, origin_ns: int = 0) -> None:
        self.clock = clock
        self.origin_ns = origin_ns
        self.thread = threading.get_ident()
        self.pid = os.getpid()
        self.enabled = True
        self.fault: str | None = None
        self.stack: list[list[int]] = []
        self.depth = [0] * len(KINDS)
        """How many spans of each kind are open."""
        self.last_root_key = -1
        self.closed = 0
        self._buffer = array("q")

    def here(self) -> bool:
        """Whether the caller runs on the recorded thread while recording is on."""
        return self.enabled and threading.get_ident() == self.thread

    def adopt(self) -> None:
        """Record the calling thread from now on; what another one had open ends here."""
        self.thread = threading.get_ident()
        self.close_all()

    def open(self, kind: int, subject: int = 0) -> None:
        """Begin a span."""
        try:
            self.depth[kind] += 1
            self.stack.append([kind << SUBJECT_BITS | subject, self.clock(), 0])
        except Exception as error:
            self.fail(error)

    def close(self, kind: int, as_kind: int | None = None) -> None:
        """End the innermost open span of `kind`, and those an exception left open inside it."""
        try:
            end = self.clock()
            stack = self.stack
            if not self.depth[kind]:
                return  # opened before recording began
            while stack:
                key, start, nested = stack.pop()
                closing = key >> SUBJECT_BITS
                self.depth[closing] -= 1
                found = closing == kind
                if found and as_kind is not None:
                    key = as_kind << SUBJECT_BITS | (key & 0xFFFFFFFF)
                duration = end - start
                if stack:
                    stack[-1][2] += duration
                elif closing != _GC:
                    self.last_root_key = key
                self.closed += 1
                self._buffer.extend((key, start - self.origin_ns, duration, duration - nested, len(stack)))
                if found:
                    return
            self.depth[kind] = 0  # an interrupt came between counting a span and opening it
        except Exception as error:
            self.fail(error)

    def close_all(self) -> None:
        """End every open span (the run is over)."""
        while self.stack and self.fault is None:
            self.close(self.stack[-1][0] >> SUBJECT_BITS)

    def open_rows(self) -> list[list[int]]:
        """The open spans, outermost first: [kind, subject, since_ns]."""
        mask = (1 << SUBJECT_BITS) - 1
        return [[key >> SUBJECT_BITS, key & mask, start - self.origin_ns] for key, start, _ in list(self.stack)]

    def take(self) -> array[int]:
        """The closed spans since the last call, `FIELDS` integers each; called from the flushing thread."""
        whole = len(self._buffer) // FIELDS * FIELDS
        taken = self._buffer[:whole]
        del self._buffer[:whole]  # in place: the training thread may hold the array, about to add to its end
        return taken

    @property
    def crowded(self) -> bool:
        """Whether the buffer waits too long for the flushing thread."""
        return len(self._buffer) > _MAX_BUFFER

    def fail(self, error: BaseException) -> None:
        """Stop recording for good; the training goes on."""
        self.enabled = False
        self.fault = f"{type(error).__name__}: {error}"

"""Which of the nested rows of a thread is open at a time, and what is around it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from slowprobe.timeline.device.intervals import distinct
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace


def thread_ids(trace: Trace) -> Ints:
    """Of every row: the number of its process and thread, counted from 0; 32 bits each."""
    place = trace.places_of()
    numbers: Any = np.searchsorted(distinct(place), place).astype(np.int32)
    return numbers  # type: ignore[no-any-return]


class Nesting:
    """Rows of a trace as one stack a thread. Positions are indexes into `rows`; `MISSING` where nothing is open."""

    def __init__(self, trace: Trace, threads: Ints, mask: Bools) -> None:
        rows: Any = np.flatnonzero(mask).astype(np.int32)  # in order of start: so are those of each thread
        rows = rows[np.argsort(threads[rows], kind="stable")]
        self.rows: Ints = rows
        """Of the trace, thread by thread, in order of start."""
        self._zero = int(trace.start_ns[rows].min()) if len(rows) else 0
        self._start = trace.start_ns[rows] - self._zero
        # A row without length is open where it starts.
        self._end = self._start + np.maximum(trace.duration_ns[rows], 1)
        # One axis for all threads: each has a stretch of its own, longer than the trace.
        self._stretch = int(self._end.max(initial=0)) + 2
        shift = threads[rows].astype(np.int64) * self._stretch
        self._start += shift
        self._end += shift
        self._levels = self._by_depth()
        self.parent: Ints = self._parents()
        """Position of the row around each row."""

    def _by_depth(self) -> list[Ints]:
        closed = np.searchsorted(np.sort(self._end), self._start, side="right")
        depth = np.maximum(np.arange(len(self.rows)) - closed, 0)
        by_depth: Any = np.argsort(depth, kind="stable").astype(np.int32)
        return np.split(by_depth, np.searchsorted(depth[by_depth], np.arange(1, int(depth.max(initial=0)) + 1)))

    def _parents(self) -> Ints:
        parent: Any = np.full(len(self.rows), MISSING, dtype=np.int32)
        for above, here in pairwise(self._levels):
            at = np.searchsorted(above, here) - 1
            if len(above):
                parent[here] = np.where(at >= 0, above[np.maximum(at, 0)], MISSING)
        return parent  # type: ignore[no-any-return]

    def at(self, threads: Ints, times: Ints) -> Ints:
        """Position of the innermost row that is open on each thread at each time."""
        if not len(self.rows):
            return np.full(len(times), MISSING, dtype=np.int64)
        keys = np.clip(times - self._zero, -1, self._stretch - 2) + threads.astype(np.int64) * self._stretch
        found = np.searchsorted(self._start, keys, side="right") - 1
        # What began last may have ended: then what is around it, and so on outward.
        while True:
            over = found >= 0
            over[over] = self._end[found[over]] <= keys[over]
            if not over.any():
                return np.maximum(found, MISSING)
            found[over] = self.parent[found[over]]

    def nearest(self, positions: Ints, wanted: Bools) -> Ints:
        """The innermost wanted row at or around each position; `wanted` has an entry a position."""
        found = positions.copy()
        while True:
            unfit = found >= 0
            unfit[unfit] = ~wanted[found[unfit]]
            if not unfit.any():
                return found
            found[unfit] = self.parent[found[unfit]]

    def outermost(self, wanted: Bools) -> Ints:
        """Of every position: the outermost wanted row at or around it; `wanted` has an entry a position."""
        found: Any = np.full(len(self.rows), MISSING, dtype=np.int32)
        for here in self._levels:
            above = self.parent[here]
            up = np.where(above >= 0, found[np.maximum(above, 0)], MISSING)
            found[here] = np.where(up >= 0, up, np.where(wanted[here], here, MISSING))
        return found  # type: ignore[no-any-return]

    def row_of(self, positions: Ints) -> Ints:
        """Rows of the trace at these positions, `MISSING` where there is none."""
        if not len(self.rows):
            return np.full(len(positions), MISSING, dtype=np.int64)
        return np.where(positions >= 0, self.rows[np.maximum(positions, 0)], MISSING)

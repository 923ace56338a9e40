"""Works out spans from the log of their beginnings and ends."""

from __future__ import annotations

from slowprobe.capture.late_numpy import Ints, np

FIELDS = 5  # key, start, duration, self, depth
ENDED = -1  # in a log, in place of the key: the innermost open span has ended
RENAMED = -2  # less a key: the same, and the span turned out to be of that key


class SpanRows:
    """Turns logged pairs (code, clock), handed over in order, into one row for each span that has ended.

    What is open when a piece of the log ends is carried to the next: its beginning, and the time of what has ended
    inside it.
    """

    def __init__(self, origin_ns: int = 0) -> None:
        self._origin_ns = origin_ns
        self._open: Ints | None = None
        self._nested_ns: Ints | None = None
        self.closed = 0

    def still_open(self) -> list[tuple[int, int]]:
        """(key, start) of the spans that had not ended, outermost first."""
        return [(key, start) for key, start in ([] if self._open is None else self._open.tolist())]

    def add(self, log: Ints) -> Ints:
        """Rows (key, start, duration, self, depth), in the order in which the spans ended. log: shape (events, 2)."""
        if not len(log):
            return np.empty((0, FIELDS), dtype=np.int64)
        if self._open is None:
            self._open = np.empty((0, 2), dtype=np.int64)
        log = np.concatenate([self._open, log - np.array([0, self._origin_ns])])
        codes, times = log[:, 0], log[:, 1]
        begins = codes >= 0
        depth = np.cumsum(np.where(begins, 1, -1)) - begins  # a beginning and its end lie at the same depth
        order = np.argsort(depth.astype(np.int16), kind="stable")  # and follow each other there (small: radix sort)
        at = np.flatnonzero(~begins[order])
        ends = np.flatnonzero(~begins)
        starts = np.empty_like(ends)
        starts[(np.cumsum(~begins) - 1)[order[at]]] = order[at - 1]
        key = np.where(codes[ends] <= RENAMED, RENAMED - codes[ends], codes[starts])
        duration, depth = times[ends] - times[starts], depth[ends]
        begins[starts] = False
        open_at = np.flatnonzero(begins)
        nested = self._nested(starts, ends, duration, depth, len(open_at))
        self._open = log[open_at]
        self.closed += len(ends)
        return np.stack([key, times[starts], duration, duration - nested, depth], axis=1)

    def _nested(self, starts: Ints, ends: Ints, duration: Ints, depth: Ints, still_open: int) -> Ints:
        """Time of the spans directly inside each row; what is inside spans that are still open is carried on."""
        nested = np.zeros(len(ends), dtype=np.int64)
        before = np.empty(0, dtype=np.int64) if self._nested_ns is None else self._nested_ns
        carried = starts < len(before)  # these stood open at the beginning, each at its depth
        nested[carried] = before[starts[carried]]
        left = np.zeros(still_open, dtype=np.int64)
        kept = min(still_open, len(before) - int(carried.sum()))
        left[:kept] = before[:kept]
        rows = np.arange(len(ends))
        for level in range(1, int(depth.max(initial=0)) + 1):
            inner, outer = rows[depth == level], rows[depth == level - 1]
            parent = np.searchsorted(outer, inner)
            ended = parent < len(outer)
            np.add.at(nested, outer[parent[ended]], duration[inner[ended]])
            if not ended.all():
                left[level - 1] += duration[inner[~ended]].sum()
        self._nested_ns = left
        return nested

"""Sets of half-open intervals [start, end) in integer ns, as arrays: unions, and who holds which piece of one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slowprobe.trace.reader import Bools, Ints

Int8s = npt.NDArray[np.int8]


def distinct(*parts: npt.ArrayLike) -> Ints:
    """Each value once, in order. `np.unique` goes through a hash table, which takes ten times as long here."""
    values: Ints = np.concatenate([np.asarray(part) for part in parts])
    values.sort()
    differs = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return values[differs]


class Cover:
    """The union of some intervals, in any order, and how much of any stretch it covers."""

    def __init__(self, start: Ints, end: Ints) -> None:
        full = end > start
        if not full.all():
            start, end = start[full], end[full]
        if (start[1:] < start[:-1]).any():
            order = np.argsort(start, kind="stable")
            start, end = start[order], end[order]
        reach = np.maximum.accumulate(end)
        opens = np.ones(len(start), dtype=np.bool_)
        opens[1:] = start[1:] > reach[:-1]
        self.start: Ints = start[opens]
        """Of the parts of the union, disjoint and in order, with uncovered time between them."""
        self.end: Ints = reach[np.append(np.flatnonzero(opens)[1:], len(start)) - 1] if len(start) else start
        self._before = np.concatenate([[0], np.cumsum(self.end - self.start)])

    @property
    def total_ns(self) -> int:
        """Length of the union."""
        return int(self._before[-1])

    def until(self, times: npt.ArrayLike) -> Ints:
        """Covered ns before each time."""
        times = np.asarray(times, dtype=np.int64)
        if not len(self.start):
            return np.zeros_like(times)
        begun = np.searchsorted(self.start, times, side="right")
        ahead = np.maximum(0, self.end[np.maximum(begun - 1, 0)] - times)
        return np.asarray(self._before[begun] - np.where(begun > 0, ahead, 0), dtype=np.int64)

    def within(self, start: npt.ArrayLike, end: npt.ArrayLike) -> Ints:
        """Covered ns of each stretch; a stretch must not end before it starts."""
        return self.until(end) - self.until(start)

    def between(self, start: int, end: int) -> int:
        """Covered ns of one stretch."""
        return int(self.within(start, end))

    def contains(self, times: Ints) -> Bools:
        """Whether each time is covered."""
        if not len(self.start):
            return np.zeros(len(times), dtype=np.bool_)
        begun = np.searchsorted(self.start, times, side="right") - 1
        return np.asarray((begun >= 0) & (times < self.end[np.maximum(begun, 0)]), dtype=np.bool_)

    def outside(self, start: int, end: int) -> tuple[Ints, Ints]:
        """The uncovered parts of one stretch, in order."""
        starts = np.concatenate([[start], np.clip(self.end, start, end)])
        ends = np.concatenate([np.clip(self.start, start, end), [end]])
        left = ends > starts
        return starts[left], ends[left]


def cut_by_claim(start: Ints, end: Ints, claims: list[tuple[int, Cover]], rest: int) -> tuple[Ints, Ints, Int8s]:
    """Disjoint stretches cut up so that each piece belongs to the first claim that covers it, or to `rest`.

    Returns start, end and claim of the pieces, in order; neighbours of one claim are one piece.
    """
    inside = Cover(start, end)
    edges = [start, end]
    for _, cover in claims:
        for marks in (cover.start, cover.end):
            edges.append(marks[inside.contains(marks)])
    marks = distinct(*edges)
    left, right = marks[:-1], marks[1:]
    within = inside.contains(left)
    left, right = left[within], right[within]
    claim = np.full(len(left), rest, dtype=np.int8)
    for number, cover in reversed(claims):
        claim[cover.contains(left)] = number
    new = np.ones(len(left), dtype=np.bool_)
    new[1:] = (left[1:] != right[:-1]) | (claim[1:] != claim[:-1])
    last = np.append(new[1:], True)[: len(left)]
    return left[new], right[last], claim[new]


def pieces(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """What each interval, in order of start, adds to the union of those before it: disjoint, some of them empty."""
    if not len(start):
        return start, end
    reach = np.maximum.accumulate(end)
    own_start = start.copy()
    own_start[1:] = np.maximum(start[1:], reach[:-1])
    return own_start, np.maximum(end, own_start)

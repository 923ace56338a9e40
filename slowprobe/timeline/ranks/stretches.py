"""Stretches of time: their union, what two sets of them share, and how much of one a union covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.trace.reader import Ints


@dataclass(frozen=True, slots=True)
class Stretches:
    """[start, end) each; disjoint and in order where it is said to be a union."""

    start_ns: Ints
    end_ns: Ints

    def __len__(self) -> int:
        return len(self.start_ns)

    def within(self, other: Stretches) -> Stretches:
        """What two unions have in common."""
        edges = np.unique(np.concatenate([self.start_ns, self.end_ns, other.start_ns, other.end_ns]))
        if len(edges) < 2:
            return Stretches(edges[:0], edges[:0])
        both = _depth(edges, self) & _depth(edges, other)
        return union(edges[:-1][both], edges[1:][both])


def union(start_ns: Ints, end_ns: Ints) -> Stretches:
    """Stretches in order of start, overlapping or touching ones made one; empty ones are left out."""
    keep = end_ns > start_ns
    start_ns, end_ns = start_ns[keep], end_ns[keep]
    if not len(start_ns):
        return Stretches(start_ns, end_ns)
    reach = np.maximum.accumulate(end_ns)
    first = np.concatenate(([True], start_ns[1:] > reach[:-1]))
    last = np.append(np.flatnonzero(first)[1:] - 1, len(start_ns) - 1)
    return Stretches(start_ns[first], reach[last])


def covered_ns(stretches: Stretches, cover: Stretches) -> Ints:
    """How much of each stretch the union `cover` covers."""
    return _until(cover, stretches.end_ns) - _until(cover, stretches.start_ns)


def _until(cover: Stretches, time_ns: Ints) -> Ints:
    """Covered time before each moment."""
    if not len(cover):
        return np.zeros(len(time_ns), dtype=np.int64)
    before = np.concatenate(([0], np.cumsum(cover.end_ns - cover.start_ns)))
    place = np.searchsorted(cover.start_ns, time_ns, side="right")
    over = np.maximum(0, cover.end_ns[np.maximum(place - 1, 0)] - time_ns)
    return np.where(place > 0, before[place] - over, 0).astype(np.int64)


def _depth(edges: Ints, stretches: Stretches) -> np.ndarray:
    """Whether each elementary interval between the edges is covered."""
    depth = np.zeros(len(edges), dtype=np.int64)
    np.add.at(depth, np.searchsorted(edges, stretches.start_ns), 1)
    np.add.at(depth, np.searchsorted(edges, stretches.end_ns), -1)
    return np.cumsum(depth)[:-1] > 0

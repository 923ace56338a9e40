"""The clocks of the ranks laid over each other: a collective that needs everyone ends everywhere at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.ranks.matching import Matching, OneRank, times
from slowprobe.trace.reader import MISSING, Bools, Ints

TOGETHER_NS = 50_000
"""Ends within one machine differ by a few µs; between machines the last piece takes a network hop or a few longer."""
TOGETHER_SHARE = 0.1
"""The same for large transfers, whose last piece takes longer: of the shortest call."""
MOST = 0.5
"""A rank of which fewer calls than this agree with the others is not aligned: its calls are counted wrongly."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """What the clock of each rank shows more than that of the first; `aligned` is False where nothing tells."""

    offset_ns: Ints
    aligned: Bools
    matching: Matching
    """What is left of it: calls whose ends agree."""
    spread_ns: int | None
    """Nine in ten ends are closer to the median of their collective; None without collectives."""


def align(ranks: Sequence[OneRank], matching: Matching) -> Alignment:
    """Finds a constant offset for each rank; clocks that drift within the recording show in `spread_ns`."""
    ends = times(ranks, matching.at, "end_ns")
    there = matching.at != MISSING
    offset_ns, aligned = _offsets(ends, there)
    agrees = _agrees(ranks, matching, ends - offset_ns, there & aligned)
    counts, agreed = there.sum(axis=0), agrees.sum(axis=0)
    aligned &= agreed > MOST * counts
    agrees &= aligned
    kept = matching.chosen(agrees.sum(axis=1) >= 2, np.where(agrees, matching.at, MISSING))
    if not len(kept):
        return Alignment(offset_ns, np.zeros(len(ranks), dtype=np.bool_), kept, None)
    left = times(ranks, kept.at, "end_ns") - offset_ns
    away = np.abs(left - _medians(left, kept.at != MISSING)[:, None])[kept.at != MISSING]
    aligned = (kept.at != MISSING).any(axis=0)
    return Alignment(offset_ns, aligned, kept, round(float(np.percentile(away, 90))))


def _offsets(ends: Ints, there: Bools) -> tuple[Ints, Bools]:
    """From rank to rank, by the median difference over what two of them share, the best-connected first (Prim)."""
    count = ends.shape[1]
    offset_ns = np.zeros(count, dtype=np.int64)
    reached = np.zeros(count, dtype=np.bool_)
    shared = there.astype(np.int64).T @ there.astype(np.int64)
    np.fill_diagonal(shared, 0)
    if count < 2 or not shared.any():
        return offset_ns, reached
    reached[int(np.argmax(shared.any(axis=1)))] = True
    while True:
        bridge = np.where(reached[:, None] & ~reached[None, :], shared, 0)
        if not bridge.any():
            return offset_ns, reached
        known, new = np.unravel_index(int(np.argmax(bridge)), bridge.shape)
        both = there[:, known] & there[:, new]
        offset_ns[new] = offset_ns[known] + round(float(np.median(ends[both, new] - ends[both, known])))
        reached[new] = True


def _agrees(ranks: Sequence[OneRank], matching: Matching, ends: Ints, there: Bools) -> Bools:
    """Whose end is where most others' are: the others have counted another call."""
    if not len(matching):
        return there
    durations = times(ranks, matching.at, "end_ns") - times(ranks, matching.at, "start_ns")
    shortest = np.where(there, durations, np.iinfo(np.int64).max).min(axis=1)
    tolerance = np.maximum(TOGETHER_NS, TOGETHER_SHARE * shortest)
    return np.asarray(there & (np.abs(ends - _medians(ends, there)[:, None]) <= tolerance[:, None]))


def _medians(values: Ints, there: Bools) -> Ints:
    """Of each row, over the ranks that are there. The lower middle one, so that it is an end that was seen."""
    far = np.sort(np.where(there, values, np.iinfo(np.int64).max), axis=1)
    middle = np.maximum(there.sum(axis=1) - 1, 0) // 2
    return np.asarray(np.take_along_axis(far, middle[:, None], axis=1)[:, 0])

"""Thousands of events of a timeline as few enough cells to draw: short neighbours are merged, no time is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.device.intervals import distinct

Ints = npt.NDArray[np.int64]

MOST_CELLS = 1_200  # rectangles that a browser still zooms smoothly, all rows together
_FINEST = 4_096  # parts of the span that are tried first: finer than the pixels of a wide screen
_COARSER = 1.4


@dataclass(frozen=True, slots=True)
class Stretches:
    """What one row shows, in order of time and without overlap, one entry a stretch; `name` -1: none."""

    start_ns: Ints
    end_ns: Ints
    part: Ints
    name: Ints

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True)
class Layer:
    """Intervals of one part, each with the number of its name; nested ones do no harm."""

    part: int
    start: Ints
    end: Ints
    name: Ints


@dataclass(frozen=True, slots=True)
class Cells:
    """A row ready to be drawn; `part_ns` [cells, parts] holds the busy time of every cell by part."""

    start_ns: Ints
    end_ns: Ints
    part_ns: Ints
    count: Ints
    name: Ints
    """Of the longest stretch in the cell."""

    def __len__(self) -> int:
        return len(self.start_ns)


def painted(layers: Sequence[Layer], start_ns: int, end_ns: int) -> Stretches:
    """The span cut by what is on top: later layers cover earlier ones, bare time is left out."""
    marks = [times for layer in layers for times in (layer.start, layer.end)]
    edges = distinct(np.empty(0, np.int64), *(np.clip(each, start_ns, end_ns) for each in marks))
    if len(edges) < 2:
        return Stretches(*(np.empty(0, np.int64) for _ in range(4)))
    part = np.full(len(edges) - 1, -1, dtype=np.int64)
    name = part.copy()
    for layer in layers:
        depth = np.zeros(len(edges), dtype=np.int64)
        np.add.at(depth, np.searchsorted(edges, np.clip(layer.start, start_ns, end_ns)), 1)
        np.add.at(depth, np.searchsorted(edges, np.clip(layer.end, start_ns, end_ns)), -1)
        covers = np.cumsum(depth)[:-1] > 0
        order = np.argsort(layer.start, kind="stable")
        begun = np.searchsorted(layer.start[order], edges[:-1][covers], side="right") - 1
        part[covers], name[covers] = layer.part, layer.name[order][begun]
    first = np.flatnonzero(np.concatenate(([True], (part[1:] != part[:-1]) | (name[1:] != name[:-1]))))
    last = np.append(first[1:], len(part))
    keep = part[first] >= 0
    return Stretches(edges[first][keep], edges[last][keep], part[first][keep], name[first][keep])


def innermost(starts: Ints, ends: Ints, part: Ints, name: Ints, start_ns: int, end_ns: int) -> Stretches:
    """Nested events of one row: each moment belongs to the innermost; one that outlives its outer one is cut."""
    rows: list[tuple[int, int, int]] = []
    stack: list[tuple[int, int]] = []
    at = start_ns

    def close_until(time_ns: int) -> None:
        nonlocal at
        while stack and stack[-1][1] <= time_ns:
            event, end = stack.pop()
            if end > at:
                rows.append((at, end, event))
                at = end

    for event in np.lexsort((-ends, starts)).tolist():
        start, end = max(int(starts[event]), start_ns), min(int(ends[event]), end_ns)
        close_until(start)
        if stack:
            end = min(end, stack[-1][1])
        if end <= start:
            continue
        if stack and start > at:
            rows.append((at, start, stack[-1][0]))
        at = start
        stack.append((event, end))
    close_until(end_ns)
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Stretches(table[:, 0], table[:, 1], part[table[:, 2]], name[table[:, 2]])


def flattened(starts: Ints, ends: Ints, part: Ints, name: Ints, start_ns: int, end_ns: int) -> Stretches:
    """Events of one row clipped to the span; where two overlap, the earlier one keeps the time."""
    starts, order = np.sort(starts, kind="stable"), np.argsort(starts, kind="stable")
    ends = np.minimum(ends[order], end_ns)
    before = np.maximum.accumulate(np.concatenate(([start_ns], ends[:-1]))) if len(ends) else ends
    starts = np.maximum(starts, before)
    keep = ends > starts
    return Stretches(starts[keep], ends[keep], part[order][keep], name[order][keep])


def reduced(rows: Sequence[Stretches], parts: int, span_ns: int, most: int = MOST_CELLS) -> tuple[list[Cells], int]:
    """Every row as cells, `most` in all, and the length in ns below which neighbours were merged (0: none were).

    Starts are relative to the span. With quantum q a row has at most 3 · span / q + 1 cells, so the search ends.
    """
    quantum = 0
    while True:
        cells = [_merged(row, parts, quantum) for row in rows]
        if sum(map(len, cells)) <= max(most, len(rows)):
            return cells, quantum
        quantum = max(1, span_ns // _FINEST, round(quantum * _COARSER) + 1 if quantum else 0)


def _merged(row: Stretches, parts: int, quantum_ns: int) -> Cells:
    if not len(row):
        empty = np.empty(0, np.int64)
        return Cells(empty, empty, np.empty((0, parts), np.int64), empty, empty)
    length = row.end_ns - row.start_ns
    opens = np.ones(len(row), dtype=bool)
    if quantum_ns:
        small, place = length < quantum_ns, row.start_ns // quantum_ns
        opens[1:] = ~(small[1:] & small[:-1] & (place[1:] == place[:-1]))
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(row)) - 1
    cell = np.cumsum(opens) - 1
    part_ns = np.zeros((len(first), parts), dtype=np.int64)
    np.add.at(part_ns, (cell, row.part), length)
    longest = np.lexsort((-length, cell))[first]  # cells are contiguous, so each begins at its first row
    return Cells(row.start_ns[first], row.end_ns[last], part_ns, last - first + 1, row.name[longest])

"""Waiting for a batch while a later one is made already: what keeping the order costs a loader with workers."""

from __future__ import annotations

import numpy as np

from slowprobe.timeline.recording import Recording
from slowprobe.timeline.roles import START, STOP, WAIT
from slowprobe.timeline.worker_side import Ints

MIN_WAITS = 4


def head_of_line_s(recording: Recording, number: int, index: Ints, start: Ints, end: Ints) -> float | None:
    """Seconds over the run. index, start, end (ns): place in its pass and making of each recorded batch.

    Only the waits of which it is known which batch they were for are looked at: those of a pass recorded from its
    beginning; the others are taken to be alike.
    """
    seen_ns = waited_ns = held_ns = 0
    waits = 0
    for opened, closed, wait_start, wait_end in _passes(recording, number):
        mine = (start >= opened) & (start < closed) & (index >= 0)
        order = np.argsort(index[mine])
        place, made = index[mine][order], end[mine][order]
        if not len(place):
            continue
        earliest_after = np.minimum.accumulate(made[::-1])[::-1]
        for position in range(len(wait_start)):
            row = int(np.searchsorted(place, position))
            if row >= len(place) or place[row] != position:
                continue
            since, until = int(wait_start[position]), int(wait_end[position])
            waits += 1
            seen_ns += until - since
            if row + 1 < len(place):
                held_ns += max(0, min(until, int(made[row])) - max(since, int(earliest_after[row + 1])))
    total = recording.totals.get((WAIT, number))
    if waits < MIN_WAITS or total is None:
        return None
    waited_ns = total.total_ns
    return held_ns / seen_ns * waited_ns / 1e9 if seen_ns else 0.0


def _passes(recording: Recording, number: int) -> list[tuple[int, int, Ints, Ints]]:
    """Of each pass whose beginning was recorded: when it began and the next one did, starts and ends of its waits.

    The waits end where spans were left out.
    """
    spans = recording.spans
    of_loader = spans.where(spans.subject == number)
    begins = of_loader.where(np.isin(of_loader.kind, (START, STOP)))
    waits = of_loader.where(of_loader.kind == WAIT)
    found = []
    opens = begins.where(begins.kind == START)
    for position in range(len(opens)):
        opened = int(opens.start[position])
        closed = int(opens.start[position + 1]) if position + 1 < len(opens) else np.iinfo(np.int64).max
        mine = waits.where(
            (waits.start >= opened) & (waits.start < closed) & (waits.stretch == opens.stretch[position])
        )
        found.append((opened, int(closed), mine.start, mine.end))
    return found

"""Tensors that are copied to the host and back to the device within a step."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.partition import BusyTime
from slowprobe.timeline.device.rows import COPIES
from slowprobe.timeline.device_window import DeviceWindow
from slowprobe.trace.reader import MISSING

MIN_BYTES = 256 << 10  # predictions and labels of one length, a few KiB, are not the same tensor
_TO_HOST = tuple(COPIES.index(kind) for kind in ("d2h_pageable", "d2h_pinned", "d2h"))
_TO_DEVICE = tuple(COPIES.index(kind) for kind in ("h2d_pageable", "h2d_pinned", "h2d"))


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Copies of one size out, and as many back later in the same step, from one place each."""

    size_bytes: int
    """Of one copy."""
    count: int
    total_ns: int
    """Of both ways."""
    exposed_ns: int
    """The same, while nothing else ran on the device."""
    site: str | None
    """Where it is copied out; as in `slowprobe.timeline.device.copies.CopyStat`."""
    out_rows: tuple[int, ...]
    """Of the trace: the copies to the host."""
    out_calls: tuple[int, ...]
    """The calls that launched them, and those that waited for them in the same operators."""
    back_rows: tuple[int, ...]


def round_trips(window: DeviceWindow) -> list[RoundTrip]:
    """The copies by size and place, those of most exposed time first; none where nothing marks steps."""
    trace, rows, steps = window.trace, window.facts.rows, window.facts.steps
    if not len(steps):
        return []
    moving = np.flatnonzero(np.isin(rows.copy_kind, (*_TO_HOST, *_TO_DEVICE)) & (rows.launch != MISSING))
    moving = moving[trace.size_bytes[rows.row[moving]] >= MIN_BYTES]
    given_ns = trace.start_ns[rows.launch[moving]]
    order = np.argsort(given_ns, kind="stable")
    step = np.searchsorted(steps.start_ns, given_ns, side="right") - 1
    site_of = {row: copy.site for copy in window.facts.copies for row in copy.rows}
    out: dict[tuple[int, int], deque[int]] = defaultdict(deque)
    pairs: dict[tuple[int, str | None], list[tuple[int, int]]] = defaultdict(list)
    for at, number in zip(moving[order].tolist(), step[order].tolist(), strict=True):
        size = int(trace.size_bytes[rows.row[at]])
        if number < 0:
            continue
        if rows.copy_kind[at] in _TO_HOST:
            out[number, size].append(at)
        elif out[number, size]:
            first = out[number, size].popleft()
            pairs[size, site_of.get(int(rows.row[first]))].append((first, at))
    exposed_ns = BusyTime(rows).exposed_ns(rows) if pairs else np.zeros(0, dtype=np.int64)
    found = []
    for (size, site), mine in pairs.items():
        outward, back = (list(column) for column in zip(*mine, strict=True))
        both = outward + back
        found.append(
            RoundTrip(
                size_bytes=size,
                count=len(mine),
                total_ns=int((rows.end_ns[both] - rows.start_ns[both]).sum()),
                exposed_ns=int(exposed_ns[both].sum()),
                site=site,
                out_rows=tuple(rows.row[outward].tolist()),
                out_calls=_calls(window, outward),
                back_rows=tuple(rows.row[back].tolist()),
            )
        )
    return sorted(found, key=lambda trip: -trip.exposed_ns)


def _calls(window: DeviceWindow, copies: list[int]) -> tuple[int, ...]:
    trace, rows = window.trace, window.facts.rows
    waits = np.flatnonzero(trace.matches(lambda name: name.endswith("Synchronize")))
    starts_ns = trace.start_ns[waits]
    found = set(rows.launch[copies].tolist())
    for at in copies:
        operator = int(rows.operator[at])
        if operator != MISSING:
            bounds = np.searchsorted(starts_ns, [trace.start_ns[rows.launch[at]], trace.ends_of(operator)])
            inner = waits[slice(*bounds.tolist())]
            same = (trace.tid[inner] == trace.tid[operator]) & (trace.pid[inner] == trace.pid[operator])
            found.update(inner[same].tolist())
    return tuple(sorted(found))

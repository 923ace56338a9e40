"""Tensors that an operator fills on the host and that go to the device at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.rows import COPIES
from slowprobe.timeline.device_window import DeviceWindow
from slowprobe.trace.reader import MISSING, Ints, Trace

_FILLS = frozenset(
    f"aten::{name}{like}"
    for name in ("zeros", "ones", "full", "rand", "randn", "randint", "randperm", "arange", "linspace", "eye")
    for like in ("", "_like")
)
_SENDS = frozenset(("aten::to", "aten::_to_copy", "aten::copy_", "aten::cuda"))
_TO_DEVICE = tuple(COPIES.index(kind) for kind in ("h2d_pageable", "h2d_pinned", "h2d"))
_AT_ONCE_NS = 100_000  # from one call to the next of one line; with stacks recorded, Python takes some 20 µs
_NEAR = 16  # operators to look back at: of .to() there are four, of the longest of `_FILLS` six


@dataclass(frozen=True, slots=True)
class HostMade:
    """Tensors of one operator and one place."""

    operator: str
    site: str | None
    """As in `slowprobe.timeline.device.copies.CopyStat`."""
    spans_ns: tuple[tuple[int, int], ...]
    """Start and end of the operators that fill them."""
    size_bytes: int
    """Of all."""
    copying_ns: int
    """Of the device."""
    rows: tuple[int, ...]
    """Of the copies in the trace."""

    @property
    def making_ns(self) -> int:
        """Of the host, for filling them."""
        return sum(end - start for start, end in self.spans_ns)


def host_made(window: DeviceWindow) -> list[HostMade]:
    """The tensors by operator and place, the most frequent first.

    An operator that launches nothing filled its tensor on the host; `.to()` of the same size right behind it sent it.
    """
    trace, rows = window.trace, window.facts.rows
    site_of = {row: copy.site for copy in window.facts.copies for row in copy.rows}
    found: dict[tuple[str, str | None], list[tuple[int, int]]] = {}
    copies = np.flatnonzero(np.isin(rows.copy_kind, _TO_DEVICE) & (rows.operator != MISSING))
    if not len(copies):
        return []
    operators = _Operators(trace, rows.launch[rows.launch != MISSING])
    for at in copies.tolist():
        made = operators.filled_before(int(rows.operator[at]))
        if made is not None:
            key = trace.names[trace.name_id[made]], site_of.get(int(rows.row[at]))
            found.setdefault(key, []).append((made, at))
    lists = [_summed(window, name, site, pairs) for (name, site), pairs in found.items()]
    return sorted(lists, key=lambda each: -len(each.rows))


def _summed(window: DeviceWindow, name: str, site: str | None, pairs: list[tuple[int, int]]) -> HostMade:
    trace, rows = window.trace, window.facts.rows
    made, copies = (list(column) for column in zip(*pairs, strict=True))
    spans = zip(trace.start_ns[made].tolist(), trace.ends_of(made).tolist(), strict=True)
    return HostMade(
        operator=name,
        site=site,
        spans_ns=tuple(spans),
        size_bytes=int(np.maximum(trace.size_bytes[rows.row[copies]], 0).sum()),
        copying_ns=int((rows.end_ns[copies] - rows.start_ns[copies]).sum()),
        rows=tuple(rows.row[copies].tolist()),
    )


class _Operators:
    """Operators thread by thread, and what they launched."""

    def __init__(self, trace: Trace, launches: Ints) -> None:
        self._trace = trace
        self._place = trace.places_of()
        self._rows = np.flatnonzero(trace.operators())
        self._by_place: dict[int, Ints] = {}
        self._launches = launches
        self._launches_by_place: dict[int, Ints] = {}

    def filled_before(self, operator: int) -> int | None:
        """The operator that filled the tensor which `operator` sends; None where nothing says so."""
        trace, place = self._trace, int(self._place[operator])
        mine = self._of(place)
        at = int(np.searchsorted(mine, operator))
        near = mine[max(0, at - _NEAR) : at + 1][::-1].tolist()
        end = int(trace.ends_of(operator))
        around = [row for row in near if self._name(row) in _SENDS and int(trace.ends_of(row)) >= end]
        if not around:
            return None
        start = int(trace.start_ns[min(around)])
        before = [row for row in near if row < min(around) and int(trace.ends_of(row)) <= start]
        last = max(before, key=lambda row: (int(trace.ends_of(row)), -row), default=None)
        if last is None or self._name(last) not in _FILLS or start - int(trace.ends_of(last)) > _AT_ONCE_NS:
            return None
        inner = [row for row in before if row > last]
        return last if self._on_host(place, last) and self._fits(inner, operator) else None

    def _name(self, row: int) -> str:
        return str(self._trace.names[self._trace.name_id[row]])

    def _of(self, place: int) -> Ints:
        if place not in self._by_place:
            self._by_place[place] = self._rows[self._place[self._rows] == place]
        return self._by_place[place]

    def _on_host(self, place: int, row: int) -> bool:
        if place not in self._launches_by_place:
            mine = self._launches[self._place[self._launches] == place]
            self._launches_by_place[place] = np.sort(self._trace.start_ns[mine])
        times = self._launches_by_place[place]
        first, last = np.searchsorted(times, [self._trace.start_ns[row], self._trace.ends_of(row)])
        return bool(first == last)

    def _fits(self, inner: list[int], sends: int) -> bool:
        """Whether the tensor that is filled is as large as the one that is sent, as far as shapes were recorded."""
        sent = self._trace.numel(sends)
        filled = [size for row in inner if (size := self._trace.numel(row))]  # arange begins with an empty tensor
        return sent is None or not filled or sent in filled

"""Lists of events turned into columns while a trace is read, so that no event outlives its list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import numpy as np

from slowprobe.trace.columns import Column, Ints, Numbered, Places, Renamed, as_id, as_ids, as_ns
from slowprobe.trace.events import MISSING, Args, Event
from slowprobe.trace.names import canonical_category
from slowprobe.trace.table import Collective

IDS = (
    "external_id",
    "sequence",
    "forward_thread",
    "correlation",
    "stream",
    "device",
    "size_bytes",
    "python_id",
    "python_parent",
    "sync_stream",
    "sync_event",
)
"""Columns that are arguments of the same name."""

_NO_ARGS = Args()
_PHASE, _START, _DURATION = attrgetter("ph"), attrgetter("ts"), attrgetter("dur")
_NAME, _CATEGORY, _PROCESS, _THREAD = attrgetter("name"), attrgetter("cat"), attrgetter("pid"), attrgetter("tid")
_DIMS = attrgetter("input_dims"), attrgetter("input_dims_2021")
_TYPES = (attrgetter("input_types"),)
_MEMORY = tuple(map(attrgetter, ("memory_bytes", "allocated_bytes", "reserved_bytes", "memory_device")))
_DEVICE_TYPE = attrgetter("memory_device_type")
_EXTERNAL_ID_2021, _COLLECTIVE = attrgetter("external_id_2021"), attrgetter("collective")


class Rows:
    """The columns so far, in the order of the file."""

    def __init__(self) -> None:
        self.count = 0
        self.names = Numbered()
        self.categories = Renamed(_canonical)
        self.places = Places()
        self.dims = Numbered({b"": MISSING})
        """Recorded shapes, as JSON, and their numbers."""
        self.types = Numbered({b"": MISSING})
        """The same of recorded types."""
        self.columns = {
            **{field: Column(wide=True) for field in ("start_ns", "duration_ns")},
            **{field: Column() for field in ("pid", "tid", "name_id", "category_id", *IDS, "dims_id", "types_id")},
        }
        self.collectives: dict[int, Collective] = {}
        self.memory = [Column(wide=True) for _ in range(5)]
        """Start, size, allocated and reserved total, device."""
        self.thread_names: dict[int, str] = {}
        self.skipped: Counter[str] = Counter()

    def add(self, events: list[Event]) -> None:
        """Appends the rows of these events."""
        rows = [event for event in events if event.ph == "X"]
        if len(rows) < len(events):
            self._add_others([event for event in events if event.ph != "X"])
        if not rows:
            return
        count = len(rows)
        args = [event.args or _NO_ARGS for event in rows]
        values: dict[str, Ints] = {
            "start_ns": as_ns(list(map(_START, rows))),
            "duration_ns": np.maximum(as_ns([duration or 0 for duration in map(_DURATION, rows)]), 0),
            "pid": self.places.numbers(map(_PROCESS, rows), count),
            "tid": self.places.numbers(map(_THREAD, rows), count),
            "name_id": self.names.numbers(map(_NAME, rows), count),
            "category_id": self.categories.numbers(map(_CATEGORY, rows), count),
            "dims_id": _text_ids(self.dims, args, _DIMS),
            "types_id": _text_ids(self.types, args, _TYPES),
            **{field: as_ids(map(attrgetter(field), args), count) for field in IDS},
        }
        older = as_ids(map(_EXTERNAL_ID_2021, args), count)
        values["external_id"] = np.where(values["external_id"] == MISSING, older, values["external_id"])
        for field, column in self.columns.items():
            column.extend(values[field])
        collectives = list(map(_COLLECTIVE, args))
        if collectives.count(None) < count:
            for i, collective in enumerate(collectives):
                if collective:
                    self.collectives[self.count + i] = _collective(args[i])
        self.count += count

    def extend(self, later: Rows) -> None:
        """Appends rows that were read from a later part of the same file, and empties those."""
        numbers = {
            "name_id": self.names.numbers(later.names, len(later.names)),
            "category_id": self.categories.renamed.numbers(later.categories.renamed, len(later.categories.renamed)),
            "dims_id": self.dims.numbers(later.dims, len(later.dims)),
            "types_id": self.types.numbers(later.types, len(later.types)),
        }
        for field, column in self.columns.items():
            values = later.columns.pop(field).values
            if field in ("pid", "tid"):
                values = self.places.renumbered(values, later.places)
            elif field in numbers:
                values = np.where(values == MISSING, MISSING, np.append(numbers[field], MISSING)[values])
            column.extend(values)
        self.collectives |= {self.count + row: each for row, each in later.collectives.items()}
        for column, addition in zip(self.memory, later.memory, strict=True):
            column.extend(addition.values)
        for thread, name in later.thread_names.items():
            self.thread_names[int(self.places.renumbered(np.array([thread]), later.places)[0])] = name
        self.skipped.update(later.skipped)
        self.count += later.count

    def _add_others(self, events: list[Event]) -> None:
        self.skipped.update(map(_PHASE, events))
        for event in events:
            if event.ph == "M" and event.name == "thread_name" and event.args is not None:
                self.thread_names[self.places[event.tid]] = str(event.args.name)
        memory = [event for event in events if event.name == "[memory]" and event.ph == "i" and event.args is not None]
        if memory:
            self.memory[0].extend(as_ns(list(map(_START, memory))))
            for column, figures in zip(
                self.memory[1:], _memory_figures([e.args for e in memory if e.args]), strict=True
            ):
                column.extend(figures)


def _canonical(category: str | None) -> str:
    return canonical_category(category or "")


def _text_ids(known: Numbered, args: list[Args], spellings: Iterable[Callable[[Args], Any]]) -> Ints:
    """The numbers of an argument that is kept as JSON text, whichever way it is spelled."""
    ids = np.full(len(args), MISSING)
    for spelling in spellings:
        texts = list(map(spelling, args))
        if texts.count(_NO_ARGS.input_dims) < len(texts):
            ids = np.maximum(ids, known.numbers(map(bytes, texts), len(texts)))  # an event has one spelling
    return ids


def _collective(args: Args) -> Collective:
    return Collective(
        str(args.collective),
        None if args.dtype is None else str(args.dtype),
        None if args.group is None else str(args.group),
        *(as_id(each) for each in (args.group_size, args.elements_in, args.elements_out)),
    )


def _memory_figures(args: list[Args]) -> list[Ints]:
    """Size, allocated and reserved total, device."""
    columns = [as_ids(map(field, args), len(args)) for field in _MEMORY]
    on_host = as_ids(map(_DEVICE_TYPE, args), len(args)) == 0
    return [*columns[:3], np.where(on_host, MISSING, columns[3])]

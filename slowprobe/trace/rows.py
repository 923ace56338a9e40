"""Lists of events turned into columns while a trace is read, so that no event outlives its list."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

import msgspec
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

_NARROW = {"external_id", "sequence", "correlation", "python_id", "python_parent", "sync_event"}
"""Not packed with another column into one number, and not multiplied: they need no room for that."""

_NO_ARGS = Args()
_PHASE, _START, _DURATION = attrgetter("ph"), attrgetter("ts"), attrgetter("dur")
_NAME, _CATEGORY, _PROCESS, _THREAD = attrgetter("name"), attrgetter("cat"), attrgetter("pid"), attrgetter("tid")
_DIMS, _DIMS_2021, _TYPES = attrgetter("input_dims"), attrgetter("input_dims_2021"), attrgetter("input_types")
_EXTERNAL_ID_2021, _COLLECTIVE = attrgetter("external_id_2021"), attrgetter("collective")


class Rows:
    """The columns so far, in the order of the file."""

    def __init__(self) -> None:
        self.count = 0
        self.names = Numbered()
        self.categories = Renamed(lambda category: canonical_category(category or ""))
        self.places = Places()
        self.dims = Numbered({b"": MISSING})
        """Recorded shapes, as JSON, and their numbers."""
        self.types = Numbered({b"": MISSING})
        """The same for recorded types."""
        self.columns = {
            **{field: Column(wide=True) for field in ("start_ns", "duration_ns", "pid", "tid", "name_id")},
            **{field: Column(wide=field not in _NARROW) for field in IDS},
            "category_id": Column(),
            "dims_id": Column(),
            "types_id": Column(),
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
            "dims_id": self._dims_ids(args),
            "types_id": _text_ids(self.types, list(map(_TYPES, args))),
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

    def _dims_ids(self, args: list[Args]) -> Ints:
        ids = np.full(len(args), MISSING)
        for spelling in (_DIMS_2021, _DIMS):
            ids = np.maximum(ids, _text_ids(self.dims, list(map(spelling, args))))  # an event has one spelling
        return ids

    def _add_others(self, events: list[Event]) -> None:
        self.skipped.update(map(_PHASE, events))
        for event in events:
            if event.ph == "M" and event.name == "thread_name" and event.args is not None:
                self.thread_names[self.places[event.tid]] = str(event.args.name)
        memory = [event for event in events if event.name == "[memory]" and event.ph == "i" and event.args is not None]
        if memory:
            figures = np.array([_memory_figures(event.args) for event in memory if event.args], dtype=np.int64)
            self.memory[0].extend(as_ns(list(map(_START, memory))))
            for number, column in enumerate(self.memory[1:]):
                column.extend(figures[:, number])


def _text_ids(numbered: Numbered, texts: list[msgspec.Raw]) -> Ints:
    if texts.count(_NO_ARGS.input_dims) == len(texts):
        return np.full(len(texts), MISSING)
    return numbered.numbers(map(bytes, texts), len(texts))


def _collective(args: Args) -> Collective:
    return Collective(
        str(args.collective),
        None if args.dtype is None else str(args.dtype),
        None if args.group is None else str(args.group),
        *(as_id(each) for each in (args.group_size, args.elements_in, args.elements_out)),
    )


def _memory_figures(args: Args) -> tuple[int, int, int, int]:
    on_host = as_id(args.memory_device_type) == 0
    sizes = (as_id(each) for each in (args.memory_bytes, args.allocated_bytes, args.reserved_bytes))
    return (*sizes, MISSING if on_host else as_id(args.memory_device))  # type: ignore[return-value]

"""Kineto/Chrome traces as columns: one row an event with a duration, in order of start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from slowprobe.trace.decode import Args, Event, Number, decode
from slowprobe.trace.load import read_bytes
from slowprobe.trace.names import canonical_category, is_annotation

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MISSING = -1
"""In a column of ids: the event has none."""


@dataclass(frozen=True, slots=True)
class Collective:
    """What a collective's row says of itself; None and `MISSING` where it does not."""

    name: str
    """all_reduce, _allgather_base, …"""
    dtype: str | None
    group: str | None
    group_size: int
    elements_in: int
    elements_out: int


@dataclass(frozen=True, slots=True)
class MemoryEvents:
    """Allocations and frees (negative) of the profiler's memory recording, in order of time; totals after each."""

    start_ns: Ints
    size_bytes: Ints
    allocated_bytes: Ints
    reserved_bytes: Ints
    device: Ints
    """−1: host memory."""

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One trace file. A parent row comes before the rows nested in it. Ids are `MISSING` where the event has none."""

    path: Path
    names: tuple[str, ...]
    categories: tuple[str, ...]
    """Canonical: see `slowprobe.trace.names`."""
    name_id: Ints
    category_id: Ints
    start_ns: Ints
    """Relative to `base_ns`."""
    duration_ns: Ints
    pid: Ints
    """Processes and threads named by a word are numbered from -2 downward."""
    tid: Ints
    external_id: Ints
    sequence: Ints
    forward_thread: Ints
    correlation: Ints
    stream: Ints
    device: Ints
    size_bytes: Ints
    python_id: Ints
    python_parent: Ints
    sync_stream: Ints
    """Of a synchronisation row: the stream that is waited for."""
    sync_event: Ints
    """The same: the correlation of the call that recorded the event."""
    collectives: dict[int, Collective]
    """By row, where the trace tells."""
    memory: MemoryEvents
    base_ns: int
    """Unix time of the trace's own zero; 0 in older traces, whose starts are Unix times themselves."""
    thread_names: dict[int, str]
    header: dict[str, Any]
    skipped: dict[str, int]
    """Events without a duration, by phase: flow arrows, counters, instants."""
    warnings: tuple[str, ...]
    _dims: dict[int, msgspec.Raw] = field(repr=False)

    def __len__(self) -> int:
        return len(self.start_ns)

    @property
    def end_ns(self) -> Ints:
        """End of every row."""
        return self.start_ns + self.duration_ns

    def is_category(self, *categories: str) -> Bools:
        """Which rows are of one of these categories."""
        wanted = [i for i, category in enumerate(self.categories) if category in categories]
        return np.isin(self.category_id, wanted)

    def matches(self, predicate: Callable[[str], bool]) -> Bools:
        """Which rows have a name that fits; the predicate runs once a distinct name."""
        fits = np.fromiter((predicate(name) for name in self.names), dtype=np.bool_, count=len(self.names))
        return fits[self.name_id]

    def operators(self) -> Bools:
        """Rows of operators: category cpu_op, less the annotations that share it."""
        return self.is_category("cpu_op") & ~self.matches(is_annotation)

    def annotations(self) -> Bools:
        """Rows of named stretches on the host, whichever category they came with."""
        return self.is_category("user_annotation") | (self.is_category("cpu_op") & self.matches(is_annotation))

    def numel(self, row: int) -> int | None:
        """Elements of the largest input of an operator; None without recorded shapes."""
        raw = self._dims.get(row)
        if raw is None:
            return None
        sizes = [size for size in map(_numel, msgspec.json.decode(raw)) if size is not None]
        return max(sizes, default=None)


def read_trace(path: Path) -> Trace:
    """Reads a trace, plain or gzip, whole or cut off; raises `TraceError` when it is none."""
    data, warnings = read_bytes(path)
    header, events, more = decode(data, str(path))
    rows = [event for event in events if event.ph == "X"]
    start_ns, duration_ns = _ns([e.ts for e in rows]), _ns([e.dur or 0 for e in rows])
    order = np.lexsort((-duration_ns, start_ns))  # stable: ties stay in file order, parents first
    rows = [rows[i] for i in order.tolist()]
    places = _Labels()
    names, name_id = _intern([e.name for e in rows])
    categories, category_id = _intern([canonical_category(e.cat or "") for e in rows])
    skipped: dict[str, int] = {}
    for event in events:
        if event.ph != "X":
            skipped[event.ph] = skipped.get(event.ph, 0) + 1

    def ids(read: Callable[[Any], Number]) -> Ints:
        values = (_id(read(e.args)) if e.args is not None else MISSING for e in rows)
        return np.fromiter(values, dtype=np.int64, count=len(rows))

    return Trace(
        path=path,
        names=names,
        categories=categories,
        name_id=name_id,
        category_id=category_id,
        start_ns=start_ns[order],
        duration_ns=duration_ns[order],
        pid=np.fromiter((places.number(e.pid) for e in rows), dtype=np.int64, count=len(rows)),
        tid=np.fromiter((places.number(e.tid) for e in rows), dtype=np.int64, count=len(rows)),
        external_id=ids(lambda a: a.external_id if a.external_id is not None else a.external_id_2021),
        sequence=ids(lambda a: a.sequence),
        forward_thread=ids(lambda a: a.forward_thread),
        correlation=ids(lambda a: a.correlation),
        stream=ids(lambda a: a.stream),
        device=ids(lambda a: a.device),
        size_bytes=ids(lambda a: a.size_bytes),
        python_id=ids(lambda a: a.python_id),
        python_parent=ids(lambda a: a.python_parent),
        sync_stream=ids(lambda a: a.sync_stream),
        sync_event=ids(lambda a: a.sync_event),
        collectives={i: _collective(e.args) for i, e in enumerate(rows) if e.args is not None and e.args.collective},
        memory=_memory([e for e in events if e.ph == "i" and e.name == "[memory]" and e.args is not None]),
        base_ns=header.base_time_nanoseconds,
        thread_names=_thread_names(events, places),
        header={
            "schema_version": header.schema_version,
            "distributed": header.distributed_info,
            "devices": header.device_properties,
            "trace_name": header.trace_name,
            "record_shapes": bool(header.record_shapes),
            "with_stack": bool(header.with_stack),
        },
        skipped=skipped,
        warnings=(*warnings, *more),
        _dims={i: raw for i, e in enumerate(rows) if (raw := _dims(e))},
    )


def _collective(args: Args) -> Collective:
    return Collective(
        str(args.collective),
        None if args.dtype is None else str(args.dtype),
        None if args.group is None else str(args.group),
        *(_id(each) for each in (args.group_size, args.elements_in, args.elements_out)),
    )


def _memory(events: list[Event]) -> MemoryEvents:
    start_ns = _ns([e.ts for e in events])
    rows = np.array([_memory_row(e.args) for e in events if e.args is not None], dtype=np.int64).reshape(-1, 4)
    order = np.argsort(start_ns, kind="stable")
    return MemoryEvents(start_ns[order], *(rows[order, column] for column in range(4)))


def _memory_row(args: Args) -> tuple[int, int, int, int]:
    on_host = _id(args.memory_device_type) == 0
    sizes = (_id(each) for each in (args.memory_bytes, args.allocated_bytes, args.reserved_bytes))
    return (*sizes, MISSING if on_host else _id(args.memory_device))  # type: ignore[return-value]


def _ns(times_us: list[Any]) -> Ints:
    """Microseconds as whole nanoseconds, with every digit the trace has."""
    if times_us and not isinstance(times_us[0], int | float):  # decimals
        return np.array([int((t * 1000).to_integral_value()) for t in times_us], dtype=np.int64)
    us = np.array(times_us, dtype=np.float64)
    whole = np.floor(us)
    return whole.astype(np.int64) * 1000 + np.rint((us - whole) * 1000).astype(np.int64)


def _intern(values: list[str]) -> tuple[tuple[str, ...], Ints]:
    table: dict[str, int] = {}
    numbers = np.fromiter((table.setdefault(v, len(table)) for v in values), dtype=np.int64, count=len(values))
    return tuple(table), numbers


class _Labels:
    """Numbers for process and thread ids: their own where they are numbers, negative ones for words."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def number(self, value: int | str | None) -> int:
        if isinstance(value, int):
            return value
        if value is None:
            return MISSING
        try:
            return int(value)
        except ValueError:
            return self._known.setdefault(value, -2 - len(self._known))


def _id(value: Number) -> int:
    if value is None:
        return MISSING
    if type(value) is int:
        return value if value < 1 << 63 else MISSING  # torch writes "none" as the largest unsigned number
    try:
        return int(value)
    except (ValueError, OverflowError):
        return MISSING


def _dims(event: Event) -> msgspec.Raw | None:
    if event.args is None:
        return None
    return event.args.input_dims or event.args.input_dims_2021 or None


def _numel(dims: object) -> int | None:
    """Elements of a tensor with these dims, summed over a list of tensors; None for what is no tensor."""
    if not isinstance(dims, list) or not dims:
        return None
    if all(isinstance(d, list) for d in dims):
        return sum(_numel(d) or 0 for d in dims)
    size = 1
    for d in dims:
        size *= int(d) if isinstance(d, int | float) else 1
    return size


def _thread_names(events: list[Event], places: _Labels) -> dict[int, str]:
    named = (e for e in events if e.ph == "M" and e.name == "thread_name" and e.args is not None)
    return {places.number(e.tid): str(e.args.name) for e in named if e.args is not None}

"""A trace as columns: one row an event with a duration, in order of start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from slowprobe.trace.columns import Ints
from slowprobe.trace.events import MISSING
from slowprobe.trace.names import is_annotation

Bools = npt.NDArray[np.bool_]


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
    """One trace file. A parent row comes before the rows nested in it. Ids are `MISSING` where the event has none.

    Columns are read-only. Times are of 64 bits, all others of 32 where that is enough: calculate with them in 64. One
    that has no value in the whole trace takes no memory.
    """

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
    _dims_id: Ints = field(repr=False)
    _dims: tuple[bytes, ...] = field(repr=False)
    _types_id: Ints = field(repr=False)
    _types: tuple[bytes, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.start_ns)

    @property
    def end_ns(self) -> Ints:
        """End of every row."""
        return self.start_ns + self.duration_ns

    def ends_of(self, rows: Any) -> Any:
        """`end_ns[rows]`, of a row, some rows or a mask, without the ends of all others."""
        return self.start_ns[rows] + self.duration_ns[rows]

    def places_of(self, rows: Any = slice(None)) -> Ints:
        """Process and thread of these rows as one number."""
        places: Any = self.pid[rows].astype(np.int64) * (1 << 32) + self.tid[rows]
        return places  # type: ignore[no-any-return]

    def part(self, first: int, last: int) -> Trace:
        """The rows from `first` to before `last` as a trace of their own; nothing is copied."""
        columns = {each.name: getattr(self, each.name) for each in fields(self)}
        cut: Any = {name: each[first:last] for name, each in columns.items() if isinstance(each, np.ndarray)}
        told = {row - first: each for row, each in self.collectives.items() if first <= row < last}
        return replace(self, collectives=told, **cut)

    def is_category(self, *categories: str) -> Bools:
        """Which rows are of one of these categories."""
        wanted = np.array([category in categories for category in self.categories], dtype=np.bool_)
        return wanted[self.category_id]

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

    def input_dims(self, row: int) -> list[Any] | None:
        """Shapes of an operator's inputs (a list of them for a list of tensors); None without recorded shapes."""
        number = int(self._dims_id[row])
        return None if number == MISSING else _parsed(self._dims[number])

    def input_types(self, row: int) -> list[Any] | None:
        """Types of an operator's inputs as C++ has them ("float", "long int", "c10::Half"); None without shapes."""
        number = int(self._types_id[row])
        return None if number == MISSING else _parsed(self._types[number])

    def numel(self, row: int) -> int | None:
        """Elements of the largest input of an operator; None without recorded shapes."""
        number = int(self._dims_id[row])
        return None if number == MISSING else _largest(self._dims[number])


@lru_cache(maxsize=4096)
def _largest(dims: bytes) -> int | None:
    sizes = [size for size in map(_numel, _parsed(dims) or ()) if size is not None]
    return max(sizes, default=None)


def _parsed(dims: bytes) -> list[Any] | None:
    parsed = msgspec.json.decode(dims)
    return parsed if isinstance(parsed, list) else None


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

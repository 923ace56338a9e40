"""Runtime and driver calls of the host: which there are, and what each is for."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.device.intervals import distinct
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.graph.kinds import ALLOCATOR, HOST, LAUNCH, SYNC
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

Int8s = npt.NDArray[np.int8]

_CATEGORIES = ("cuda_runtime", "cuda_driver", "xpu_runtime", "xpu_driver")
_SYNC = re.compile(r"(Device|Ctx|Context|Stream|Event|Queue|Host)Synchronize")
_WAIT = re.compile(r"StreamWaitEvent")
_ALLOCATOR = re.compile(
    r"^(cuda|hip|cu|musa)(Malloc|Free|Host(Alloc|Free|Malloc|Unregister)|Mem(Alloc|Free|Create|Map|Unmap|Release|Address|SetAccess))"
)
_DRAINS = re.compile(r"^(cuda|hip|cu|musa)(Free|FreeHost|HostFree|HostUnregister|MemFree|MemFree_v2)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Outermost calls, thread by thread, in order of start within each; none overlaps another of its thread."""

    row: Ints
    place: Ints
    """Thread: see `Trace.places_of`."""
    start_ns: Ints
    end_ns: Ints
    kind: Int8s
    """Into `slowprobe.timeline.graph.kinds.HOST_KINDS`; "host" for those that neither launch, wait nor allocate."""
    launch_of: Ints
    """Per device row: position of the call that launched it; `MISSING` without one."""

    def __len__(self) -> int:
        return len(self.row)


def is_call(trace: Trace, rows: DeviceRows) -> Bools:
    """Which trace rows are calls of the runtime or the driver."""
    launches = distinct(trace.category_id[rows.launch[rows.launch != MISSING]])
    return trace.is_category(*_CATEGORIES) | np.isin(trace.category_id, launches)


def outermost_calls(trace: Trace, rows: DeviceRows, threads: Ints) -> Calls:
    """The calls of these threads. A call within another (driver under runtime) counts as the outer one."""
    place = trace.places_of()
    chosen = np.flatnonzero(is_call(trace, rows) & np.isin(place, threads))
    chosen = chosen[np.argsort(place[chosen], kind="stable")]
    start_ns, end_ns = trace.start_ns[chosen], trace.ends_of(chosen)
    outer, start_ns = _outermost(place[chosen], start_ns, end_ns)
    owner = np.full(len(trace), MISSING, dtype=np.int64)
    owner[chosen] = np.cumsum(outer) - 1
    launch_of = np.where(rows.launch == MISSING, MISSING, owner[rows.launch])
    row = chosen[outer]
    kind = np.full(len(row), HOST, dtype=np.int8)
    kind[trace.matches(lambda name: _ALLOCATOR.search(name) is not None)[row]] = ALLOCATOR
    kind[launch_of[launch_of != MISSING]] = LAUNCH
    kind[trace.matches(lambda name: _SYNC.search(name) is not None)[row]] = SYNC
    return Calls(
        row=row, place=place[row], start_ns=start_ns[outer], end_ns=end_ns[outer], kind=kind, launch_of=launch_of
    )


def event_waits(trace: Trace, calls: Calls) -> Ints:
    """Positions of the calls that make a stream wait for an event."""
    return np.flatnonzero(trace.matches(lambda name: _WAIT.search(name) is not None)[calls.row])


def drains(trace: Trace, calls: Calls) -> Ints:
    """Positions of the calls that wait for the device without being named after it: frees."""
    return np.flatnonzero(trace.matches(lambda name: _DRAINS.search(name) is not None)[calls.row])


def _outermost(place: Ints, start_ns: Ints, end_ns: Ints) -> tuple[Bools, Ints]:
    """Which are outermost, and where each starts: not before the call in front of it has ended (rounded clocks)."""
    outer = np.ones(len(place), dtype=np.bool_)
    clipped = start_ns.copy()
    edges = np.flatnonzero(np.diff(place)) + 1
    for first, last in zip([0, *edges.tolist()], [*edges.tolist(), len(place)], strict=True):
        if last - first < 2:
            continue
        reached = np.maximum.accumulate(end_ns[first:last])[:-1]
        inner = slice(first + 1, last)
        outer[inner] = (end_ns[inner] > reached) | (start_ns[inner] >= reached)
        clipped[inner] = np.maximum(start_ns[inner], reached)
    return outer, clipped

"""Collectives by name and group: how often, how long, and how much of it nothing hides."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.classes import is_collective
from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.partition import BusyTime
from slowprobe.timeline.device.rows import COMMUNICATION, DeviceRows
from slowprobe.trace.reader import Collective, Ints, Trace

_KERNEL = re.compile(
    r"(all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|broadcast|send_?recv|reduce)", re.IGNORECASE
)
_NAMES = {
    "allreduce": "all_reduce",
    "allgather": "all_gather",
    "reducescatter": "reduce_scatter",
    "alltoall": "all_to_all",
    "sendrecv": "send_recv",
}
_SIZES = {"float": 4, "double": 8, "half": 2, "bf16": 2, "int8": 1, "uint8": 1, "int32": 4, "int64": 8}
_DTYPES = {
    "float": 4,
    "double": 8,
    "half": 2,
    "bfloat16": 2,
    "int": 4,
    "long": 8,
    "short": 2,
    "byte": 1,
    "char": 1,
    "bool": 1,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
}
_SUMMED = re.compile(r"(AllReduce|ReduceScatter)_.*_(float|double|half|bf16|int8|uint8|int32|int64)(_t)?(\(|$)")


@dataclass(frozen=True, slots=True)
class CollectiveStat:
    """One collective of one process group."""

    name: str
    """all_reduce, all_to_all, …"""
    count: int
    total_ns: int
    exposed_ns: int
    """While nothing computed; of overlapping collectives, time belongs to the one that began first."""
    size_bytes: int
    """Of all inputs together; 0 where the trace does not tell."""
    group: str | None


def collective_table(
    trace: Trace, rows: DeviceRows, host: Host | None = None, busy: BusyTime | None = None
) -> list[CollectiveStat]:
    """Collectives that ran on the device, the dearest first."""
    host, busy = host or Host(trace), busy or BusyTime(rows)
    exposed_ns = busy.exposed_ns(rows)[rows.kind == COMMUNICATION]
    calls = rows.where(rows.kind == COMMUNICATION)
    sums: dict[tuple[str, str | None], list[int]] = {}
    lengths = (calls.end_ns - calls.start_ns).tolist()
    told = collectives_of(trace, calls, host)
    for row, annotation, what, own_ns, shown_ns in zip(
        calls.row.tolist(), _annotations(host, calls).tolist(), told, lengths, exposed_ns.tolist(), strict=True
    ):
        kernel = trace.names[trace.name_id[row]]
        named = trace.names[trace.name_id[annotation]] if annotation >= 0 else ""
        name = _name(what, named, kernel)
        total = sums.setdefault((name, what.group if what else None), [0, 0, 0, 0])
        for i, figure in enumerate((1, own_ns, shown_ns, _size_bytes(trace, what, annotation, kernel))):
            total[i] += figure
    stats = [
        CollectiveStat(name, count, total_ns, shown_ns, size_bytes, group)
        for (name, group), (count, total_ns, shown_ns, size_bytes) in sums.items()
    ]
    return sorted(stats, key=lambda stat: -stat.total_ns)


def collectives_of(trace: Trace, rows: DeviceRows, host: Host) -> list[Collective | None]:
    """What the trace says of the collective behind each device row, on the row itself or on what launched it."""
    stack = host.stack
    known = np.zeros(len(trace), dtype=np.bool_)
    known[list(trace.collectives)] = True
    around = stack.row_of(stack.nearest(host.around(rows.launch), known[stack.rows]))
    pairs = zip(rows.row.tolist(), around.tolist(), strict=True)
    return [trace.collectives.get(row) or trace.collectives.get(above) for row, above in pairs]


def _annotations(host: Host, calls: DeviceRows) -> Ints:
    """The innermost collective around each launch."""
    stack = host.stack
    return stack.row_of(stack.nearest(host.around(calls.launch), host.trace.matches(is_collective)[stack.rows]))


def _name(what: Collective | None, annotation: str, kernel: str) -> str:
    if what is not None:
        return what.name.strip("_")
    if annotation.startswith(("nccl:", "rccl:", "gloo:", "mpi:", "ucc:")):
        return annotation.partition(":")[2].strip("_")
    found = _KERNEL.search(annotation) or _KERNEL.search(kernel)
    if found is None:
        return kernel.partition("(")[0]
    word = found[1].lower()
    return _NAMES.get(word.replace("_", ""), word)


def _size_bytes(trace: Trace, what: Collective | None, annotation: int, kernel: str) -> int:
    if what is not None and what.elements_in > 0:
        return what.elements_in * _DTYPES.get((what.dtype or "").lower(), 0)
    # Only kernels that sum have the type of the data in their name: others move bytes.
    summed = _SUMMED.search(kernel)
    numel = trace.numel(annotation) if annotation >= 0 and summed else None
    return numel * _SIZES[summed[2]] if numel and summed else 0

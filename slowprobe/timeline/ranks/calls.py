"""The collectives of one rank, each with its kind, group and step: small enough to be sent between processes."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.classes import is_collective
from slowprobe.timeline.device.intervals import Cover
from slowprobe.timeline.device.rows import COMMUNICATION, COMPUTE, DeviceRows
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.trace.reader import MISSING, Collective, Ints, Trace

ENDS_TOGETHER = frozenset({"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "barrier"})
"""Each rank needs something of every other, so none is done before the last has come. A broadcast's root and the
sender of a message may be long gone when the others receive."""

_KINDS = (  # by what the name holds, spelled without separators; the first that fits
    ("reducescatter", "reduce_scatter"),
    ("allreduce", "all_reduce"),
    ("crossdevicereduce", "all_reduce"),  # vLLM's and TensorRT's own kernels
    ("allgather", "all_gather"),
    ("alltoall", "all_to_all"),
    ("all2all", "all_to_all"),
    ("barrier", "barrier"),
    ("broadcast", "broadcast"),
    ("sendrecv", "send_recv"),
    ("isend", "send"),
    ("irecv", "recv"),
    ("send", "send"),
    ("recv", "recv"),
    ("gather", "gather"),
    ("scatter", "scatter"),
    ("reduce", "reduce"),
)
_MOST_NESTED = 8  # c10d::allreduce_ > record_param_comms > nccl:all_reduce > launch


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveCalls:
    """One entry a call in each column, in order of start; times are Unix ns by the rank's own clock."""

    name: tuple[str, ...]
    """all_reduce, all_to_all, …; `other` where nothing tells."""
    group: tuple[str | None, ...]
    """Process group by the name torch gave it; None where the trace does not tell."""
    group_size: Ints
    """`MISSING` where the trace does not tell."""
    start_ns: Ints
    end_ns: Ints
    step: Ints
    """The number of the step in which the host launched it; `MISSING` outside steps."""
    hidden_start_ns: Ints
    hidden_end_ns: Ints
    """When the rank computed while it was in any of them: disjoint stretches in order of time."""

    def __len__(self) -> int:
        return len(self.start_ns)


def collective_calls(trace: Trace, rows: DeviceRows, steps: TraceSteps) -> CollectiveCalls:
    """The communication of one device."""
    at = np.flatnonzero(rows.kind == COMMUNICATION)
    told = _Hosts(trace)
    described = [_describe(trace, int(rows.row[i]), int(rows.launch[i]), told) for i in at]
    computing = rows.kind == COMPUTE
    hidden = _common(Cover(rows.start_ns[at], rows.end_ns[at]), Cover(rows.start_ns[computing], rows.end_ns[computing]))
    launch = rows.launch[at]
    begun = np.where(launch == MISSING, rows.start_ns[at], trace.start_ns[launch])
    return CollectiveCalls(
        name=tuple(name for name, _, _ in described),
        group=tuple(group for _, group, _ in described),
        group_size=np.array([size for _, _, size in described], dtype=np.int64),
        start_ns=rows.start_ns[at] + trace.base_ns,
        end_ns=rows.end_ns[at] + trace.base_ns,
        step=_step_numbers(steps, begun),
        hidden_start_ns=hidden.start + trace.base_ns,
        hidden_end_ns=hidden.end + trace.base_ns,
    )


def kind_of(name: str) -> str | None:
    """The collective that a kernel, an annotation or torch calls by this name; None for what is none."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((kind for sign, kind in _KINDS if sign in plain), None)


def _describe(trace: Trace, row: int, launch: int, hosts: _Hosts) -> tuple[str, str | None, int]:
    """Kind, group and its size: from the row itself, from what launched it, from the kernel's name; in this order."""
    own = trace.collectives.get(row)
    around = hosts.around(launch) if launch != MISSING else []
    told: list[Collective] = [own] if own else []
    told += [trace.collectives[host] for host in around if host in trace.collectives]
    group = next((each.group for each in told if each.group), None)
    size = next((each.group_size for each in told if each.group_size > 0), MISSING)
    names = [each.name for each in told] + [trace.names[trace.name_id[host]] for host in around]
    names.append(trace.names[trace.name_id[row]].partition("(")[0])
    return next((kind for name in names if (kind := kind_of(name))), "other"), group, size


class _Hosts:
    """The rows on the host that speak of a collective, to be found by the launch call inside them."""

    def __init__(self, trace: Trace) -> None:
        speaks = trace.matches(is_collective) & trace.is_category("user_annotation", "cpu_op")
        self._trace = trace
        self._rows: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
        for row in np.flatnonzero(speaks).tolist():  # in order of start
            starts, rows = self._rows.setdefault((int(trace.pid[row]), int(trace.tid[row])), ([], []))
            starts.append(int(trace.start_ns[row]))
            rows.append(row)

    def around(self, launch: int) -> list[int]:
        """Rows that enclose a launch call, the innermost first."""
        trace = self._trace
        starts, rows = self._rows.get((int(trace.pid[launch]), int(trace.tid[launch])), ([], []))
        at_ns = int(trace.start_ns[launch])
        last = bisect_right(starts, at_ns)
        near = rows[max(0, last - _MOST_NESTED) : last]
        return [row for row in reversed(near) if trace.start_ns[row] + trace.duration_ns[row] > at_ns]


def _common(one: Cover, other: Cover) -> Cover:
    edges = np.unique(np.concatenate([one.start, one.end, other.start, other.end]))
    both = one.contains(edges[:-1]) & other.contains(edges[:-1])
    return Cover(edges[:-1][both], edges[1:][both])


def _step_numbers(steps: TraceSteps, at_ns: Ints) -> Ints:
    if not len(steps):
        return np.full(len(at_ns), MISSING, dtype=np.int64)
    place = np.searchsorted(steps.start_ns, at_ns, side="right") - 1
    inside = (place >= 0) & (at_ns < steps.end_ns[place])
    return np.where(inside, steps.number[place], MISSING).astype(np.int64)

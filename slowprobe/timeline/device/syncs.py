"""Calls in which the host waits for the device, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.idle import IdleGaps
from slowprobe.trace.reader import Trace

_Place = tuple[str, str | None, str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class SyncStat:
    """Synchronising calls of one name, from one place."""

    name: str
    """cudaStreamSynchronize, …; cudaMemcpyAsync where the host waited for a copy."""
    count: int
    total_ns: int
    """Spent in the calls by the host."""
    drained_ns: int
    """Idle device time behind queues that ran dry in these calls."""
    op: str | None
    """The outermost operator around the call."""
    line: str | None
    """The innermost function of the user's around the call, as `file.py(12): function` with its first line; None
    without stacks."""
    annotation: str | None = None
    """The innermost annotation around the call, but for marks of steps."""
    frame: str | None = None
    """The innermost function around the call, of any code."""
    rows: tuple[int, ...] = ()
    """Of the trace."""


def sync_table(trace: Trace, gaps: IdleGaps, host: Host | None = None) -> list[SyncStat]:
    """Synchronising calls by name and place, those that drain most first."""
    host = host or Host(trace)
    drained = gaps.sync_row >= 0
    drained_ns = np.zeros(len(trace), dtype=np.int64)
    np.add.at(drained_ns, gaps.sync_row[drained], (gaps.end_ns - gaps.start_ns)[drained])
    calls = gaps.sync_calls
    around = host.around(calls)
    sums: dict[_Place, list[int]] = {}
    rows: dict[_Place, list[int]] = {}
    names = (trace.names[name] for name in trace.name_id[calls].tolist())
    figures = zip(trace.duration_ns[calls].tolist(), drained_ns[calls].tolist(), strict=True)
    found = (host.operator_names, host.lines, host.annotation_names, host.frames)
    places = zip(*(names_of(around) for names_of in found), strict=True)
    for row, name, place, (own_ns, drain_ns) in zip(calls.tolist(), names, places, figures, strict=True):
        rows.setdefault((name, *place), []).append(row)
        total = sums.setdefault((name, *place), [0, 0, 0])
        for i, figure in enumerate((1, own_ns, drain_ns)):
            total[i] += figure
    stats = [
        SyncStat(key[0], count, total_ns, drain_ns, key[1], key[2], key[3], key[4], tuple(rows[key]))
        for key, (count, total_ns, drain_ns) in sums.items()
    ]
    return sorted(stats, key=lambda stat: (-stat.drained_ns, -stat.total_ns))

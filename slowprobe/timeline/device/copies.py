"""Copies of the device by kind and by the place that asks for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.partition import BusyTime
from slowprobe.timeline.device.rows import COPIES, COPY, DeviceRows
from slowprobe.trace.reader import Trace


@dataclass(frozen=True, slots=True)
class CopyStat:
    """Copies of one kind, from one place."""

    kind: str
    """One of `slowprobe.timeline.device.rows.COPIES`."""
    count: int
    total_ns: int
    exposed_ns: int
    """While nothing computed or communicated; of overlapping copies, time belongs to the one that began first."""
    size_bytes: int
    """0 where the trace does not tell."""
    op: str | None
    """The outermost operator around the call."""
    site: str | None
    """The innermost function of the user's around the call, as `file.py(12): function` with its first line; None
    without stacks."""
    annotation: str | None = None
    """The innermost annotation around the call, but for marks of steps."""


def copy_table(
    trace: Trace, rows: DeviceRows, host: Host | None = None, busy: BusyTime | None = None
) -> list[CopyStat]:
    """Copies by kind and place, those of most exposed time first."""
    host, busy = host or Host(trace), busy or BusyTime(rows)
    exposed_ns = busy.exposed_ns(rows)[rows.kind == COPY]
    copies = rows.where(rows.kind == COPY)
    around = host.around(copies.launch)
    columns = zip(
        copies.copy_kind.tolist(),
        host.operator_names(around),
        host.lines(around),
        host.annotation_names(around),
        (copies.end_ns - copies.start_ns).tolist(),
        exposed_ns.tolist(),
        np.maximum(trace.size_bytes[copies.row], 0).tolist(),
        strict=True,
    )
    sums: dict[tuple[int, str | None, str | None, str | None], list[int]] = {}
    for kind, op, site, annotation, *figures in columns:
        total = sums.setdefault((kind, op, site, annotation), [0, 0, 0, 0])
        for i, figure in enumerate((1, *figures)):
            total[i] += figure
    stats = [
        CopyStat(COPIES[kind], count, total_ns, shown_ns, size_bytes, op, site, annotation)
        for (kind, op, site, annotation), (count, total_ns, shown_ns, size_bytes) in sums.items()
    ]
    return sorted(stats, key=lambda stat: (-stat.exposed_ns, -stat.total_ns))

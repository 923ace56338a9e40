"""Copies of the device by kind and by the place that asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.rows import DeviceRows
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
    """The innermost Python line of the user's around the call, as `file.py(12): function`; None without stacks."""


def copy_table(trace: Trace, rows: DeviceRows) -> list[CopyStat]:
    """Copies by kind and place, those of most exposed time first."""
    raise NotImplementedError

"""Collectives by name and size: how often, how long, and how much of it nothing hides."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.trace.reader import Trace


@dataclass(frozen=True, slots=True)
class CollectiveStat:
    """One collective of one process group."""

    name: str
    """all_reduce, all_to_all, …"""
    count: int
    total_ns: int
    exposed_ns: int
    """While nothing computed."""
    size_bytes: int
    """Of all inputs together; 0 where the trace does not tell."""
    group: str | None


def collective_table(trace: Trace, rows: DeviceRows) -> list[CollectiveStat]:
    """Collectives that ran on the device, the dearest first."""
    raise NotImplementedError

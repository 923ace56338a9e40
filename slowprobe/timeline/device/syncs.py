"""Calls in which the host waits for the device, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.idle import IdleGaps
from slowprobe.trace.reader import Trace


@dataclass(frozen=True, slots=True)
class SyncStat:
    """Synchronising calls of one name, from one place."""

    name: str
    """cudaStreamSynchronize, …"""
    count: int
    total_ns: int
    """Spent in the calls by the host."""
    drained_ns: int
    """Idle device time behind queues that ran dry in these calls."""
    op: str | None
    """The outermost operator around the call."""
    line: str | None
    """The innermost Python line of the user's around the call; None without stacks."""


def sync_table(trace: Trace, gaps: IdleGaps) -> list[SyncStat]:
    """Synchronising calls by name and place, those that drain most first."""
    raise NotImplementedError

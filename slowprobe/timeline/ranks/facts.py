"""What the traces of several ranks of one job tell when they are laid side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slowprobe.timeline.device.partition import DevicePartition


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRow:
    """One rank. The waiting figures are None where it has no collective in common with another rank."""

    rank: int
    path: Path
    device_name: str | None
    steps: int
    """Whole steps in the trace."""
    step_ns: float | None
    """Median; None without steps."""
    partition: DevicePartition
    """Of the whole span of its device."""
    work_ns: dict[str, float]
    """A mean step without communication: `compute`, `copy` where nothing hides it, and idle time by cause."""
    clock_offset_ns: int | None
    """What its clock shows more than that of the first rank."""
    waiting_ns: int | None
    """In collectives, before the last rank came, whether computing hid it or not."""
    transfer_ns: int | None
    """In collectives, once all ranks were there."""
    suffered_ns: int | None
    """Waiting while nothing computed; of collectives that wait side by side, the time counts once."""
    caused_ns: int | None
    """What the other ranks suffered in collectives where this one came last, summed over them."""
    came_last: int | None
    """In how many collectives."""

    @property
    def between_ns(self) -> int:
        """The span less exposed communication: what the rank needs for its own work, idle time included."""
        return self.partition.span_ns - self.partition.exposed_communication_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveWaiting:
    """One kind of collective in one group, summed over all ranks: transfer and waiting add up to `total_ns`."""

    name: str
    group: str | None
    calls: int
    """Found on several ranks; each counts once."""
    total_ns: int
    waiting_ns: int
    transfer_ns: int
    complete: bool
    """All members of the group were recorded. Where not, the last may be missing: waiting is then a lower bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """The rank that the others wait for, or why none is named."""

    rank: int | None
    """None: the evidence names nobody."""
    leading: int | None
    """The rank that causes most of the waiting, named or not; None where nothing can be judged."""
    share: float
    """Of the time lost, what `leading` causes."""
    lost_share: float
    """Of the ranks' spans, what they lose waiting, on average."""
    ahead_ns: int
    """How much later than the last but one it came, summed over its calls: no more can be won by mending it alone."""
    cause: str | None
    """What it spends more time on than the others: a key of `RankRow.work_ns`; None where it is no one thing."""
    excess_ns: float
    """How much more than their median it spends on that, or on all that it spends more on."""
    reason: str
    """One or two sentences with the figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """All ranks of a job that were recorded, in order of rank."""

    world_size: int
    rows: tuple[RankRow, ...]
    collectives: tuple[CollectiveWaiting, ...]
    """Those that end on all ranks together, most waiting first."""
    calls: int
    """Collectives found on several ranks."""
    unmatched: int
    """Collective calls of single ranks for which that failed; those of kinds that end apart are not among them."""
    one_sided: int
    """Calls of kinds that do not end on all ranks together (broadcast, send, receive): they show no waiting."""
    alignment_ns: int | None
    """How far apart the ranks see the same end, after alignment: nine in ten ends are closer. None without calls."""
    straggler: Straggler
    warnings: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """Share of the job's ranks that were recorded."""
        return len(self.rows) / self.world_size

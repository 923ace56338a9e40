"""Lays the records of several ranks side by side: clocks, waiting, who came last, one row a rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowprobe.timeline.ranks.calls import ENDS_TOGETHER, CollectiveCalls
from slowprobe.timeline.ranks.clocks import Alignment, align
from slowprobe.timeline.ranks.facts import CollectiveWaiting, RankRow, Ranks
from slowprobe.timeline.ranks.identity import rank_in_name
from slowprobe.timeline.ranks.matching import Matching, OneRank, match
from slowprobe.timeline.ranks.record import RankDevice, RankRecord
from slowprobe.timeline.ranks.straggler import Scene, judge
from slowprobe.timeline.ranks.waiting import Waits, waits

_SHOWN = 8  # ranks named in a sentence


@dataclass(frozen=True, slots=True)
class _Compared:
    columns: dict[int, int]
    """Rank → its column in the others."""
    alignment: Alignment
    waits: Waits


def compare(records: Sequence[RankRecord], warnings: Sequence[str] = ()) -> Ranks:
    """All ranks that were recorded. `warnings` of the caller come first."""
    said = [*warnings, *(text for record in records for text in record.warnings)]
    by_rank = _numbered(records, said)
    told = [record.told.world_size for record in records if record.told.world_size]
    world_size = max(*told, *(rank + 1 for rank in by_rank), len(by_rank))
    if len(set(told)) > 1:
        said.append(f"The traces tell of different world sizes ({', '.join(map(str, sorted(set(told))))}).")
    devices = {rank: record.device for rank, record in by_rank.items() if record.device is not None}
    taking_part = [OneRank(rank, by_rank[rank].told, device.calls) for rank, device in devices.items()]
    matching = match(taking_part, world_size)
    alignment = align(taking_part, matching)
    if len(matching):
        said += _unaligned(taking_part, matching, alignment)
    waited = waits(taking_part, alignment)
    columns = {one.rank: column for column, one in enumerate(taking_part)}
    compared = _Compared(columns, alignment, waited)
    scene = Scene(
        ranks=[one.rank for one in taking_part],
        world_size=world_size,
        matching=alignment.matching,
        waits=waited,
        collective_ns=sum(_collective_ns(one.calls) for one in taking_part),
        span_ns=np.array([device.partition.span_ns for device in devices.values()], dtype=np.int64),
        work_ns=[device.work_ns for device in devices.values()],
    )
    return Ranks(
        world_size=world_size,
        rows=tuple(_row(rank, by_rank[rank].path, device, compared) for rank, device in devices.items()),
        collectives=_collectives(alignment.matching, waited),
        calls=len(alignment.matching),
        unmatched=alignment.matching.unmatched,
        one_sided=matching.one_sided,
        alignment_ns=alignment.spread_ns,
        straggler=judge(scene),
        warnings=tuple(said),
    )


def _numbered(records: Sequence[RankRecord], said: list[str]) -> dict[int, RankRecord]:
    """By rank: as the traces tell, else as the file names do, else in their order."""
    ranks = [record.told.rank for record in records]
    if None in ranks or len(set(ranks)) < len(ranks):
        named = [rank_in_name(record.path.name) for record in records]
        if None not in named and len(set(named)) == len(named):
            ranks = named
        elif len(records) > 1:
            said.append("Neither the traces nor their names tell which rank is which: they are numbered in order.")
            ranks = list(range(len(records)))
        else:
            ranks = [ranks[0] or 0]
    return dict(sorted(((rank or 0, record) for rank, record in zip(ranks, records, strict=True)), key=lambda e: e[0]))


def _row(rank: int, path: Path, device: RankDevice, compared: _Compared) -> RankRow:
    column = compared.columns[rank]
    aligned = bool(compared.alignment.aligned[column])
    waited = compared.waits

    def of(values: np.ndarray) -> int | None:
        return int(values[column]) if aligned else None

    return RankRow(
        rank=rank,
        path=path,
        device_name=device.name,
        steps=device.steps,
        step_ns=device.step_ns,
        partition=device.partition,
        work_ns=device.work_ns,
        clock_offset_ns=of(compared.alignment.offset_ns),
        waiting_ns=of(waited.waiting_ns.sum(axis=0)),
        transfer_ns=of(waited.transfer_ns.sum(axis=0)),
        suffered_ns=of(waited.suffered_ns.sum(axis=0)),
        caused_ns=of(waited.caused_ns()),
        came_last=int((waited.last == column).sum()) if aligned else None,
    )


def _collectives(matching: Matching, waited: Waits) -> tuple[CollectiveWaiting, ...]:
    places: dict[tuple[str, object], list[int]] = {}
    for place, name in enumerate(matching.name):
        places.setdefault((name, matching.group[place]), []).append(place)
    complete = matching.complete
    found = []
    for (name, _), mine in places.items():
        waiting, transfer = int(waited.waiting_ns[mine].sum()), int(waited.transfer_ns[mine].sum())
        found.append(
            CollectiveWaiting(
                name=name,
                group=matching.group_name[mine[0]],
                calls=len(mine),
                total_ns=waiting + transfer,
                waiting_ns=waiting,
                transfer_ns=transfer,
                complete=bool(complete[mine].all()),
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.waiting_ns, each.name)))


def _unaligned(ranks: Sequence[OneRank], matching: Matching, alignment: Alignment) -> list[str]:
    lost = [one.rank for one, fits in zip(ranks, alignment.aligned, strict=True) if not fits]
    if not lost:
        return []
    if len(lost) == len(ranks):
        return [
            f"The {len(matching)} collectives that the traces seem to have in common do not end at the same moments: "
            "they are not the same ones, and nothing tells who waits for whom."
        ]
    names = ", ".join(map(str, lost[:_SHOWN])) + (", …" if len(lost) > _SHOWN else "")
    return [f"The collectives of rank {names} do not end when those of the others do: left out of the waiting."]


def _collective_ns(calls: CollectiveCalls) -> int:
    counted = np.array([name in ENDS_TOGETHER for name in calls.name], dtype=np.bool_)
    return int((calls.end_ns - calls.start_ns)[counted].sum())

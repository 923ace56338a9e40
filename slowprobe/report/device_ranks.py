"""The ranks of a job as the result document holds them."""

from __future__ import annotations

from slowprobe.report import device_document as doc
from slowprobe.report.timeline_document import us
from slowprobe.timeline.ranks.facts import RankRow, Ranks

MOST_RANKS = 1_024
MOST_COLLECTIVES = 40


def device_ranks(ranks: Ranks) -> doc.DeviceRanks:
    """Every recorded rank, and the collectives that were found on several."""
    return doc.DeviceRanks(
        world_size=ranks.world_size,
        ranks=[_rank(row) for row in ranks.rows[:MOST_RANKS]],
        straggler=ranks.straggler.rank,
        words=ranks.straggler.reason,
        calls=ranks.calls,
        unmatched=ranks.unmatched,
        one_sided=ranks.one_sided,
        alignment_us=_known(ranks.alignment_ns),
        collectives=[
            doc.RankCollective(
                name=each.name,
                group=each.group or "",
                count=each.calls,
                total_us=each.total_ns / 1e3,
                waiting_us=each.waiting_ns / 1e3,
                transfer_us=each.transfer_ns / 1e3,
                complete=each.complete,
            )
            for each in ranks.collectives[:MOST_COLLECTIVES]
        ],
        warnings=list(ranks.warnings),
    )


def _rank(row: RankRow) -> doc.DeviceRank:
    whole = row.partition
    return doc.DeviceRank(
        rank=row.rank,
        device=row.device_name or "",
        steps=row.steps,
        step_us=_known(row.step_ns),
        span_us=whole.span_ns / 1e3,
        compute_us=whole.compute_ns / 1e3,
        exposed_communication_us=whole.exposed_communication_ns / 1e3,
        exposed_copy_us=whole.exposed_copy_ns / 1e3,
        idle_us=whole.idle_ns / 1e3,
        communication_us=whole.communication_ns / 1e3,
        waiting_us=_known(row.waiting_ns),
        transfer_us=_known(row.transfer_ns),
        suffered_us=_known(row.suffered_ns),
        caused_us=_known(row.caused_ns),
        came_last=row.came_last,
    )


def _known(ns: float | None) -> float | None:
    return None if ns is None else us(ns)

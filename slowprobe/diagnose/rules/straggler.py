"""One rank comes last, and all others wait for it in every collective.

What it is: a rank with more work, slower data, or a slower device than the others.

Why it is slow: a collective ends when the last rank has come: the job runs at the pace of its slowest.

How it is seen: the traces of the ranks, their clocks laid over each other by the ends of collectives; for each, which
rank came last and what the others lost by it. A rank is named only where it causes most of what is lost.

Saving: all ranks are replayed together, with this one doing what it spends more time on in the others' time: then the
next one comes last. Where the ranks could not be replayed together, at most what it comes later than the last but one.

Stays quiet when: one rank was recorded, little is lost in waiting, or different ranks come last by turns.

Fix: what that rank does longer than the others: its part of the data, its loader, its host.

Sources: TraceML (attribution by coverage); XProf and Ascend advisor (slow ranks).
"""

from __future__ import annotations

from slowprobe.diagnose.device_parts import on_device, share
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster, NoGap, OfRank
from slowprobe.timeline.loop_changes import Factor
from slowprobe.timeline.ranks.facts import RankRow, Straggler

REPLAYED = ("data", "python", "launch", "allocator", "off_step")  # causes of idle time that the replay can change

RULE = Rule(title="One rank makes the others wait", bottleneck="communication", needs=("device", "ranks", "replay"))


def check(run: TraceEvidence) -> Answer:
    """Ask who comes last."""
    return on_device(run, _judge)


def _judge(run: TraceEvidence, facts: DeviceFacts) -> Diagnosis | Passed:
    ranks = run.ranks
    found = ranks.straggler
    rank = found.rank
    if rank is None:
        return Passed(found.reason)
    row = next(each for each in ranks.rows if each.rank == rank)
    changes = _as_the_others(run, rank, found, row)
    return Diagnosis(
        title=f"Rank {found.rank} makes the others wait",
        summary=found.reason,
        where=[],
        fix=Fix(
            text=(
                f"Look at what rank {found.rank} does longer: its data, its loader, its machine. Its report: slowprobe "
                f"analyze {row.path.name}."
            )
        ),
        changes=changes or [Faster("communication", _without_waiting(found, facts))],
        basis="replay" if changes else "stated range",
        evidence={
            "rank": found.rank,
            "of the time lost it causes": round(found.share, 4),
            "time lost, of the ranks' spans": round(found.lost_share, 4),
            "later than the last but one, ms": round(found.ahead_ns / 1e6, 3),
            "exposed communication here": round(share(facts, facts.partition.exposed_communication_ns), 4),
            "replayed": "all ranks together" if changes else "this rank alone",
            "ranks recorded": f"{len(ranks.rows)} of {ranks.world_size}",
        },
    )


def _as_the_others(run: TraceEvidence, rank: int, found: Straggler, row: RankRow) -> list[OfRank]:
    """This rank spends on its work what the others do; without a place in the replay, or a cause, nothing."""
    place = run.replay.place_of(rank)
    spent_ns = row.work_ns.get(found.cause or "", 0.0)
    if place is None or not spent_ns:
        return []
    left = max(0.0, 1 - found.excess_ns / spent_ns)
    factor = Factor(left, left, (1 + left) / 2)  # at worst half of what sets it apart can be mended
    if found.cause in ("compute", "copy"):
        return [OfRank(place, Faster(found.cause, factor))]
    return [OfRank(place, NoGap(found.cause, factor))] if found.cause in REPLAYED else []


def _without_waiting(found: Straggler, facts: DeviceFacts) -> Factor:
    communication = facts.partition.communication_ns
    gone = min(1.0, found.ahead_ns / communication) if communication else 0.0
    return Factor(1 - gone, 1 - gone, 1.0)

"""One rank comes last, and all others wait for it in every collective.

What it is: a rank with more work, slower data, or a slower device than the others.

Why it is slow: a collective ends when the last rank has come: the job runs at the pace of its slowest.

How it is seen: the traces of the ranks, their clocks laid over each other by the ends of collectives; for each, which
rank came last and what the others lost by it. A rank is named only where it causes most of what is lost.

Saving: what it comes later than the last but one: no more can be won by mending it alone.

Stays quiet when: one rank was recorded, little is lost in waiting, or different ranks come last by turns.

Fix: what that rank does longer than the others: its part of the data, its loader, its host.

Sources: TraceML (attribution by coverage); XProf and Ascend advisor (slow ranks).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, share
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.replay import Factor

RULE = Rule(title="One rank makes the others wait", bottleneck="communication", needs=("device", "ranks", "replay"))


def check(run: Any) -> Answer:
    """Ask who comes last."""
    return on_device(run, _judge)


def _judge(run: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    ranks = run.ranks
    found = ranks.straggler
    if found.rank is None:
        return Passed(found.reason)
    row = next(each for each in ranks.rows if each.rank == found.rank)
    communication = facts.partition.communication_ns
    gone = min(1.0, found.ahead_ns / communication) if communication else 0.0
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
        changes=[Faster("communication", Factor(1 - gone, 1 - gone, 1.0))],
        basis="stated range",
        evidence={
            "rank": found.rank,
            "of the time lost it causes": round(found.share, 4),
            "time lost, of the ranks' spans": round(found.lost_share, 4),
            "later than the last but one, ms": round(found.ahead_ns / 1e6, 3),
            "exposed communication here": round(share(facts, facts.partition.exposed_communication_ns), 4),
            "ranks recorded": f"{len(ranks.rows)} of {ranks.world_size}",
        },
    )

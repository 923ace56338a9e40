"""Copies to the device: which they are, and what they cost where nothing hides them."""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, per_step, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed
from slowprobe.timeline.device.copies import CopyStat
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import PARTLY, OverlapCopies
from slowprobe.timeline.loop_changes import Factor

MIN_EXPOSED = 0.03  # of the recording


def judged(run: Evidence, memory: str, summary: str, fix: Fix, left: Factor = PARTLY) -> Answer:
    """What to say of copies from `memory` (pinned or pageable) that nothing hides.

    summary: has places for `count` (a step) and `exposed` (a share of the time).
    """

    def judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
        copies = copies_of(facts, f"h2d_{memory}")
        exposed = exposed_share(facts, copies)
        if exposed < MIN_EXPOSED:
            return Passed(f"copies from {memory} memory hold up the device {exposed:.1%} of the time")
        count = per_step(facts, sum(copy.count for copy in copies))
        return Diagnosis(
            summary=summary.format(count=count, exposed=exposed),
            where=places((copy.site, copy.exposed_ns) for copy in copies),
            fix=fix,
            changes=[OverlapCopies(rows_of(copies), left)],
            evidence=evidence(facts, copies, count),
        )

    return on_device(run, judge)


def copies_of(facts: DeviceFacts, *kinds: str) -> list[CopyStat]:
    """The copies of these kinds, those of most exposed time first."""
    return [copy for copy in facts.copies if copy.kind in kinds]


def exposed_share(facts: DeviceFacts, copies: list[CopyStat]) -> float:
    """Of the recording, while nothing else ran."""
    return share(facts, sum(copy.exposed_ns for copy in copies))


def rows_of(copies: list[CopyStat]) -> tuple[int, ...]:
    """Their rows in the trace."""
    return tuple(row for copy in copies for row in copy.rows)


def bandwidth(copies: list[CopyStat]) -> float | None:
    """Bytes a second; None where sizes are not known."""
    size, time_ns = sum(copy.size_bytes for copy in copies), sum(copy.total_ns for copy in copies)
    return size / time_ns * 1e9 if size and time_ns else None


def evidence(facts: DeviceFacts, copies: list[CopyStat], a_step: float) -> dict[str, Any]:
    """What supports a finding about these copies."""
    rate = bandwidth(copies)
    return {
        "copies a step": round(a_step, 2),
        "exposed, of the time": round(exposed_share(facts, copies), 4),
        "bytes a copy": round(sum(copy.size_bytes for copy in copies) / max(1, sum(copy.count for copy in copies))),
        "GB/s": "unknown" if rate is None else round(rate / 1e9, 2),
        "operators": ", ".join(sorted({copy.op for copy in copies if copy.op})) or "unknown",
    }

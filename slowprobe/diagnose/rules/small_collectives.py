"""Many small collectives a step: each pays the latency of the network.

What it is: one all_reduce for each metric, SyncBatchNorm in every layer, FSDP around single small layers, barriers.

Why it is slow: below about 1 MB a collective takes as long as its round trips do, 20 to 50 µs and more between
machines, whatever it carries.

How it is seen: the number of collectives a step and their mean size. The recorded graph is replayed with their time
shrunk to that of a few.

Stays quiet when: there are fewer than twenty a step, they are larger than 1 MB, or they are exposed for less than 3 %
of the time.

Fix: one all_reduce of a stacked tensor for all metrics, at log steps only; FSDP units of whole blocks.

Sources: Ascend advisor (packets below 1 MB, SyncBN above 20); NCCL documentation.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, per_step, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

MANY, SMALL_BYTES = 20.0, 1_000_000
MIN_EXPOSED = 0.03  # of the time

RULE = Rule(title="Many small collectives", bottleneck="communication", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Count collectives and their sizes."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed | NotApplicable | NotChecked:
    if not facts.collectives:
        return NotApplicable("nothing is exchanged with other ranks")
    sized = [each for each in facts.collectives if each.size_bytes]
    if not sized:
        return NotChecked("the trace does not say how much collectives carry")
    small = [each for each in sized if each.size_bytes / each.count < SMALL_BYTES]
    count = per_step(facts, sum(each.count for each in small))
    if count < MANY:
        return Passed(f"{count:.0f} collectives a step carry less than 1 MB")
    exposed = share(facts, sum(each.exposed_ns for each in small))
    if exposed < MIN_EXPOSED:
        return Passed(f"{count:.0f} small collectives a step are exposed {exposed:.1%} of the time")
    part = sum(each.total_ns for each in small) / max(1, sum(each.total_ns for each in facts.collectives))
    left = Factor(1 / count, 0.3, 0.8).of_part(part)
    return Diagnosis(
        summary=f"{count:.0f} collectives a step carry less than 1 MB each and are exposed {exposed:.0%} of the time.",
        where=[],
        fix=Fix(text="Pack metrics into one tensor and reduce it when logging; wrap whole blocks in FSDP."),
        changes=[Faster("communication", left)],
        basis="stated range",
        evidence={
            "small collectives a step": round(count, 1),
            "exposed, of the time": round(exposed, 4),
            "kinds": ", ".join(f"{each.name} {each.count}x" for each in small[:5]),
        },
    )

"""Activations are computed twice to save memory that is not needed.

What it is: activation checkpointing, while a good part of the device's memory stays free.

Why it is slow: forward runs a second time inside backward: about a third more work.

How it is seen: checkpointed functions in the trace (CheckpointFunction), and the peak of reserved memory against all of
it. The recorded graph is replayed with the compute of the recorded steps cheaper.

Saving: a stated range. Of the kernels' time 0.7 remains at best, 0.8 is expected (the second forward is a quarter of
forward, forward and backward), 0.95 at worst.

Stays quiet when: nothing is checkpointed, the peak is above 60 % of the memory, or the trace holds no memory events.

Fix: checkpoint fewer layers, or none (gradient_checkpointing=False); or a larger batch in what is free.

Sources: Hugging Face guide (checkpointing costs about 20 %); Chen and others 2016.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

FULL = 0.6  # of the memory; what checkpointing saves must fit into the rest
REMAINING = Factor(0.7, 0.8, 0.95)  # see "Saving" above
SIGN = "CheckpointFunction"

RULE = Rule(title="Activations are recomputed with memory to spare", bottleneck="memory", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Compare checkpointing with the memory that is free."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed | NotApplicable | NotChecked:
    if not any(SIGN in op for op in facts.operators):
        return NotApplicable("no activation checkpointing was recorded")
    if facts.memory is None or facts.memory.peak_reserved_bytes <= 0 or not facts.memory_bytes:
        return NotChecked("the trace holds no memory events (profile_memory=True), or not the device's size")
    used = facts.memory.peak_reserved_bytes / facts.memory_bytes
    if used > FULL:
        return Passed(f"{used:.0%} of the memory is in use at the peak: checkpointing earns its cost")
    return Diagnosis(
        summary=f"Activations are computed twice to save memory, and at the peak {1 - used:.0%} of it is free.",
        where=[],
        fix=Fix(text="Checkpoint fewer layers, or none; or use what is free for a larger batch."),
        changes=[Faster("compute", REMAINING)],
        basis="stated range",
        evidence={
            "reserved at the peak, bytes": facts.memory.peak_reserved_bytes,
            "memory, bytes": facts.memory_bytes,
            "of it in use": round(used, 3),
        },
    )

"""The device's memory is nearly full.

What it is: at its peak the training has reserved 90 % of the memory and more.

Why it is slow: the next longer batch ends the training; before that, the allocator frees and allocates in each step
(alloc-churn), which waits for the device.

How it is seen: the peak of reserved memory in the profiler's memory events against all of it. It is a risk, not a
saving.

Stays quiet when: the peak is lower, or the trace holds no memory events.

Fix: bfloat16, activation checkpointing of some layers, a smaller batch with gradient accumulation, a sharded optimizer.

Sources: TensorBoard plugin (90 %); gpuprof (90/97 %).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Risk
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts

FULL, FULLEST = 0.90, 0.97  # of the memory

RULE = Rule(title="The device's memory is nearly full", bottleneck="memory", needs=("device",))


def check(run: Evidence) -> Answer:
    """Compare the peak with the memory there is."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed | NotChecked:
    if facts.memory is None or facts.memory.peak_reserved_bytes <= 0 or not facts.memory_bytes:
        return NotChecked("the trace holds no memory events (profile_memory=True), or not the device's size")
    used = facts.memory.peak_reserved_bytes / facts.memory_bytes
    if used < FULL:
        return Passed(f"{used:.0%} of the memory is reserved at the peak")
    return Diagnosis(
        summary=f"{used:.0%} of the device's memory is reserved at the peak: a longer batch would end the training.",
        where=[],
        fix=Fix(text="Train in bfloat16, checkpoint some layers, or take a smaller batch with gradient accumulation."),
        changes=[],
        risk=Risk("high" if used >= FULLEST else "medium", "the training may run out of memory"),
        evidence={
            "reserved at the peak, bytes": facts.memory.peak_reserved_bytes,
            "allocated at the peak, bytes": facts.memory.peak_bytes,
            "memory, bytes": facts.memory_bytes,
        },
    )

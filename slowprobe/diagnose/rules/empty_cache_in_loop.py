"""torch.cuda.empty_cache() is called in every step.

What it is: all unused memory is given back to the driver, and asked for again in the next step.

Why it is slow: giving back waits for the device; asking again costs 0.1 to 1 ms a block. Nothing is gained: what torch
keeps is free for its own tensors.

How it is seen: bursts of cudaFree within steps, as many blocks freed as are allocated again. The recorded graph is
replayed without them.

Stays quiet when: there is fewer than one in two steps, or they take less than 1 % of the time.

Fix: take the call out; before an evaluation of another shape, once, it does no harm.

Sources: PyTorch documentation of empty_cache; transformers #31372 (removed from the trainer).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.rules._allocator import calls_per_step, calls_share, emptied, evidence, harmless
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import NoSync

RULE = Rule(title="empty_cache() in every step", bottleneck="memory", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Look for bursts of frees."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    reason = harmless(facts)
    if reason:
        return Passed(reason)
    if not emptied(facts):
        return Passed("the driver is asked for memory, but does not get it back in every step: see alloc-churn")
    return Diagnosis(
        summary=(
            "Memory goes back to the driver and is asked for again in each step "
            f"({calls_per_step(facts):.1f} calls), {calls_share(facts):.0%} of the time."
        ),
        where=[],
        fix=Fix(text="Take torch.cuda.empty_cache() out of the loop.", diff="-torch.cuda.empty_cache()"),
        changes=[NoSync(facts.allocator.rows)],
        evidence=evidence(facts),
    )

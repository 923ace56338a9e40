"""The driver allocates and frees memory in the middle of training.

What it is: cudaMalloc and cudaFree in steady steps: batches whose shape changes all the time, memory so full that the
caching allocator has to give blocks back and ask for others.

Why it is slow: cudaFree waits for the device, and cudaMalloc takes 0.1 to 1 ms; torch's allocator would serve the same
request in a few µs from what it keeps.

How it is seen: such calls within steps, and the host's time in them. The recorded graph is replayed without them.

Stays quiet when: there is fewer than one in two steps, they take less than 1 % of the time, or the script asks for it
with empty_cache (empty-cache-in-loop).

Fix: PYTORCH_ALLOC_CONF=expandable_segments:True; shapes padded to a few sizes; a little less memory in use.

Sources: PyTorch notes on CUDA memory management; Ascend advisor (memory operations).
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

RULE = Rule(
    title="Memory is allocated and freed by the driver in each step", bottleneck="memory", needs=("device", "replay")
)


def check(run: Evidence) -> Answer:
    """Count the driver's allocations."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    reason = harmless(facts)
    if reason:
        return Passed(reason)
    if emptied(facts):
        return Passed("what was freed was given back by empty_cache: see empty-cache-in-loop")
    return Diagnosis(
        summary=(
            f"{calls_per_step(facts):.1f} calls of cudaMalloc and cudaFree a step take {calls_share(facts):.0%} of the "
            "time: the memory that torch keeps does not fit what the next step asks for."
        ),
        where=[],
        fix=Fix(
            text="Set PYTORCH_ALLOC_CONF=expandable_segments:True, or give batches a few fixed shapes.",
            diff="+export PYTORCH_ALLOC_CONF=expandable_segments:True",
        ),
        changes=[NoSync(facts.allocator.rows)],
        evidence=evidence(facts),
    )

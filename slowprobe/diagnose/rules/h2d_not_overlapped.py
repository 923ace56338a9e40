"""Pinned batches are copied to the device in front of the step, not beside the one before.

What it is: copies on the stream of the kernels, or waited for before the step begins.

Why it is slow: copying and computing use different hardware; one after the other they add up.

How it is seen: copies "Pinned -> Device", and their time in which nothing else ran. The recorded graph is replayed with
them beside the kernels of the step before; the link keeps its speed.

Stays quiet when: such copies are exposed for less than 3 % of the time; those from pageable memory are pageable-h2d's.

Fix: copy the next batch on a stream of its own while this one trains.

    with torch.cuda.stream(side):
        batch = next(batches).to(device, non_blocking=True)

Sources: NVIDIA Apex data_prefetcher; PyTorch notes on CUDA streams; Nsight Systems (cuda_memcpy_sync).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, per_step, places
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.rules._copies import MIN_EXPOSED, copies_of, evidence, exposed_share, rows_of
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import OverlapCopies

RULE = Rule(title="Copies to the device wait for their turn", bottleneck="transfer", needs=("device", "replay"))


def check(run: Any) -> Answer:
    """Find pinned copies that nothing hides."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    copies = copies_of(facts, "h2d_pinned")
    exposed = exposed_share(facts, copies)
    if exposed < MIN_EXPOSED:
        return Passed(f"copies from pinned memory hold up the device {exposed:.1%} of the time")
    count = per_step(facts, sum(copy.count for copy in copies))
    return Diagnosis(
        summary=(
            f"{count:.1f} copies a step from pinned memory run while the device computes nothing, {exposed:.0%} of the "
            "time; they could run beside the step before."
        ),
        where=places((copy.site, copy.exposed_ns) for copy in copies),
        fix=Fix(text="Copy the next batch on a second stream while this one trains (a prefetcher around the loader)."),
        changes=[OverlapCopies(rows_of(copies))],
        evidence=evidence(facts, copies, count),
    )

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

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Rule
from slowprobe.diagnose.rules._copies import judged

RULE = Rule(title="Copies to the device wait for their turn", bottleneck="transfer", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Find pinned copies that nothing hides."""
    return judged(
        run,
        "pinned",
        "{count:.1f} copies a step from pinned memory run while the device computes nothing, {exposed:.0%} of the "
        "time; they could run beside the step before.",
        Fix(text="Copy the next batch on a second stream while this one trains (a prefetcher around the loader)."),
    )

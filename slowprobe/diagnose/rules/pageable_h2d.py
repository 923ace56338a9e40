"""Batches are copied to the device from ordinary memory: slowly, and while the host waits.

What it is: tensors that the loader made in pageable memory, sent with .to(device).

Why it is slow: the driver first copies them into a pinned buffer of its own, piece by piece; the call returns only when
it is done, so that neither the host nor the device does anything else.

How it is seen: copies "Pageable -> Device" in the trace, and their time in which nothing else ran. The recorded graph
is replayed with these copies beside the kernels.

Saving: replayed with none of their exposed time left at best, 0.1 expected, 0.5 at worst (the copy as before, at twice
the bandwidth).

Stays quiet when: such copies are exposed for less than 3 % of the time.

Fix: DataLoader(..., pin_memory=True), and batch.to(device, non_blocking=True).

Sources: PyTorch Performance Tuning Guide, notes on pinned memory and non_blocking; Nsight Systems
(cuda_memcpy_async pageable).
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Rule
from slowprobe.diagnose.rules._copies import judged
from slowprobe.timeline.loop_changes import Factor

LEFT = Factor(0.0, 0.1, 0.5)  # see "Saving" above

RULE = Rule(title="Batches are copied from pageable memory", bottleneck="transfer", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Find copies from pageable memory that nothing hides."""
    return judged(
        run,
        "pageable",
        "{count:.1f} copies a step come from pageable memory: the host waits for each, and for {exposed:.0%} of the "
        "time the device does nothing else.",
        Fix(
            text="Let the loader pin its batches, and copy them without waiting: .to(device, non_blocking=True).",
            diff="+DataLoader(..., pin_memory=True)\n+batch = batch.to(device, non_blocking=True)",
        ),
        LEFT,
    )

"""Gradients are scaled for float16 on a device that computes in bfloat16.

What it is: GradScaler on a GPU of compute capability 8.0 or above.

Why it is slow: each step unscales all gradients, looks for infinities, and asks the device whether there were any;
steps with some are thrown away.

How it is seen: the scaler's kernels in every step. The recorded graph is replayed without them.

Stays quiet when: the device is older, there is no scaler, or its kernels take less than 1 % of the time (what its
waiting costs is scaler-clip-sync's).

Fix: torch.autocast("cuda", torch.bfloat16), without GradScaler.

Sources: PyTorch AMP documentation (bfloat16 needs no scaling).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import GONE

BFLOAT16 = (8, 0)
SCALER = ("non_finite_check_and_unscale", "multi_tensor_unscale", "amp_update_scale")
MIN_SHARE = 0.01  # of the time

RULE = Rule(
    title="float16 with a GradScaler where bfloat16 is there", bottleneck="precision", needs=("device", "replay")
)


def check(run: Evidence) -> Answer:
    """Look for the scaler's kernels."""
    return on_device(run, _judge)


def _is_scaler(name: str) -> bool:
    return any(each in name for each in SCALER)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed | NotApplicable:
    if facts.capability is None or facts.capability < BFLOAT16:
        return NotApplicable("the device does not compute in bfloat16, or is not known")
    mine = [kernel for kernel in facts.kernels if any(_is_scaler(each) for each in (kernel.name, *kernel.ops))]
    taken = share(facts, sum(kernel.total_ns for kernel in mine))
    if taken < MIN_SHARE:
        return Passed(f"scaling gradients takes {taken:.1%} of the time" if mine else "no gradient is scaled")
    names = {kernel.name for kernel in mine}
    return Diagnosis(
        summary=(
            f"Unscaling gradients and looking for infinities takes {taken:.0%} of the time; bfloat16 needs neither."
        ),
        where=[],
        fix=Fix(
            text="Use bfloat16 in autocast and leave GradScaler out.",
            diff='+with torch.autocast("cuda", torch.bfloat16):',
        ),
        changes=[Faster(lambda name: name in names, GONE)],
        evidence={"of the time": round(taken, 4), "kernels": ", ".join(sorted(names))[:200]},
    )

"""Convolutions turn their inputs around before and after each call.

What it is: tensors in NCHW order, which torch uses by default, on tensor cores, which convolve in NHWC order.

Why it is slow: each layer is preceded and followed by a kernel that only moves numbers.

How it is seen: kernels that convert the layout (nchwToNhwc, nhwcToNchw) beside convolutions. The recorded graph is
replayed without them, and with convolutions a little faster.

Saving: replayed with none of the conversions left; of the convolutions 0.8 remains at best, all is expected.

Stays quiet when: convolutions take less than 20 % of the time, or conversions less than 2 %.

Fix: model = model.to(memory_format=torch.channels_last), and the inputs, too.

Sources: PyTorch channels_last tutorial (8 to 35 %); NVIDIA convolution guide.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import class_share, on_device, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import GONE, Factor

MIN_CONVOLUTIONS, MIN_CONVERSIONS = 0.20, 0.02  # of the time
SIGNS = ("nchwtonhwc", "nhwctonchw", "nchw2nhwc", "nhwc2nchw", "batched_transpose", "subtensorop")
CONVOLUTIONS_LEFT = Factor(0.8, 1.0, 1.0)

RULE = Rule(title="Convolutions convert their layout", bottleneck="compute", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Look for kernels that change the layout."""
    return on_device(run, _judge)


def _converts(name: str) -> bool:
    return any(sign in name.lower() for sign in SIGNS)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed | NotApplicable:
    convolving = class_share(facts, "convolution")
    if convolving < MIN_CONVOLUTIONS:
        return NotApplicable(f"convolutions take {convolving:.1%} of the time")
    mine = [kernel for kernel in facts.kernels if _converts(kernel.name)]
    taken = share(facts, sum(kernel.total_ns for kernel in mine))
    if taken < MIN_CONVERSIONS:
        return Passed(f"converting layouts takes {taken:.1%} of the time")
    return Diagnosis(
        summary=(
            f"Kernels that only turn NCHW into NHWC and back take {taken:.0%} of the time, beside {convolving:.0%} "
            f"in convolutions."
        ),
        where=[],
        fix=Fix(
            text="Keep model and inputs in channels_last.",
            diff="+model = model.to(memory_format=torch.channels_last)\n+x = x.to(memory_format=torch.channels_last)",
        ),
        changes=[Faster(_converts, GONE), Faster("convolution", CONVOLUTIONS_LEFT)],
        evidence={
            "conversions, of the time": round(taken, 4),
            "convolutions, of the time": round(convolving, 4),
            "kernels": ", ".join(sorted({kernel.name for kernel in mine}))[:200],
        },
    )

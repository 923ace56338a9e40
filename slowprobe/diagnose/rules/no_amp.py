"""Products are computed in 32 bits where 16 would do.

What it is: a training in float32 (or TF32) on a GPU whose tensor cores multiply 16-bit numbers twice as fast and more.

Why it is slow: beside the products, half as many bytes go through memory for every activation.

How it is seen: matrix products and convolutions take 30 % of the time or more, and next to none of their kernels works
in 16 bits. The recorded graph is replayed with them, and the elementwise kernels, faster.

Saving: a stated range. Of products 0.2 remains at best (from ordinary units), 0.5 is expected, 0.9 at worst; of
elementwise and normalization kernels, which are limited by memory, 0.5, 0.7, 1.

Stays quiet when: products take less than 30 % of the time, 16 bits are in use already, or the GPU has no tensor cores.

Fix: with torch.autocast("cuda", torch.bfloat16): around forward and loss; on GPUs before Ampere float16 with a
GradScaler. Compare the loss over some hundred steps.

Sources: PyTorch AMP recipe; Lightning (up to 3 times as fast); benchmarking-cv-models #8 (94 to 177 images a second).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, part_of_kernels
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._precision import in_half, products, products_share
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

MIN_PRODUCTS = 0.30  # of the time; with less, autocast's own conversions eat the gain
MOST_HALF = 0.05  # of the products' time: a layer or two that were written so
BFLOAT16 = (8, 0)
PRODUCTS_LEFT = Factor(0.2, 0.5, 0.9)  # see "Saving" above
MEMORY_LEFT = Factor(0.5, 0.7, 1.0)

RULE = Rule(title="Products run in 32 bits", bottleneck="precision", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Look at what products are computed in."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed | NotChecked | NotApplicable:
    if facts.has_tensor_cores is None:
        return NotChecked("the trace does not name the device")
    if not facts.has_tensor_cores:
        return NotApplicable(f"{facts.device_name} has no tensor cores")
    kernels, taken = products(facts), products_share(facts)
    if taken < MIN_PRODUCTS:
        return Passed(f"matrix products and convolutions take {taken:.1%} of the time")
    half = part_of_kernels(kernels, in_half)
    if half > MOST_HALF:
        return Passed(f"{half:.0%} of the products' time is in 16 bits")
    bf16 = facts.capability is None or facts.capability >= BFLOAT16
    kind = "bfloat16" if bf16 else "float16"
    names = {kernel.name for kernel in kernels}
    return Diagnosis(
        summary=(
            f"Products take {taken:.0%} of the time, and {1 - half:.0%} of that is computed in 32 bits; "
            f"{facts.device_name or 'this device'} multiplies {kind} numbers at least twice as fast."
        ),
        where=[],
        fix=Fix(
            text=f"Run forward and loss under autocast in {kind}"
            + ("." if bf16 else ", with a GradScaler.")
            + " Compare the loss over some hundred steps.",
            diff=f'+with torch.autocast("cuda", torch.{kind}):\n+    loss = criterion(model(x), y)',
        ),
        changes=[
            Faster(lambda name: name in names, PRODUCTS_LEFT),
            Faster("elementwise", MEMORY_LEFT),
            Faster("normalization", MEMORY_LEFT),
        ],
        basis="stated range",
        evidence={
            "products, of the time": round(taken, 4),
            "of it in 16 bits": round(half, 4),
            "on tensor cores": round(part_of_kernels(kernels, lambda kernel: kernel.tensor_cores), 4),
            "dearest kernel": kernels[0].name[:120],
            "device": facts.device_name or "unknown",
        },
    )

"""Matrix products run in float32 on the ordinary units, and the tensor cores are idle.

What it is: a GPU with tensor cores that know TF32 (compute capability 8.0 and above), and products in full float32,
which is torch's default.

Why it is slow: tensor cores multiply 4 to 8 times as fast.

How it is seen: the names of the kernels (sgemm, ffma, simt against tensorop, 1688, 16816, wgmma) and the part of the
time they take. The recorded graph is replayed with those kernels faster.

Saving: a stated range. 0.25 of their time remains at best, 0.5 is expected, 0.9 at worst (products limited by memory).

Stays quiet when: products take less than 10 % of the time, tensor cores do most of them, or the GPU has none for
float32 (before Ampere: then no-amp names what they can do).

Fix: torch.set_float32_matmul_precision("high"): 10 bits of mantissa in products, float32 everywhere else.

Sources: PyTorch notes on TF32; Lightning's warning; benchmarking-cv-models #8 (47 to 94 images a second).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, part_of_kernels
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._precision import MIN_PRODUCTS, in_full, products, products_share
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

TF32 = (8, 0)  # Ampere
MIN_FULL = 0.5  # of the products' time
REMAINING = Factor(0.25, 0.5, 0.9)  # see "Saving" above

RULE = Rule(title="Tensor cores are idle: products run in float32", bottleneck="precision", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Look at what products are computed in."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed | NotChecked | NotApplicable:
    if facts.capability is None:
        return NotChecked("the trace does not name the device's compute capability")
    if facts.capability < TF32:
        return NotApplicable(f"{facts.device_name or 'the device'} has no tensor cores for float32: see no-amp")
    kernels, taken = products(facts), products_share(facts)
    if taken < MIN_PRODUCTS:
        return Passed(f"matrix products and convolutions take {taken:.1%} of the time")
    full = part_of_kernels(kernels, in_full)
    if full < MIN_FULL:
        return Passed(f"{1 - full:.0%} of the products' time is on tensor cores, or in 16 bits")
    names = {kernel.name for kernel in kernels if in_full(kernel)}
    return Diagnosis(
        summary=(
            f"Products take {taken:.0%} of the time, {full:.0%} of that in float32 without tensor cores "
            f"({facts.device_name or 'this device'} has them)."
        ),
        where=[],
        fix=Fix(
            text="Allow TF32 for float32 products, once at the start of the script.",
            diff='+torch.set_float32_matmul_precision("high")',
        ),
        changes=[Faster(lambda name: name in names, REMAINING)],
        basis="stated range",
        evidence={
            "products, of the time": round(taken, 4),
            "of it without tensor cores": round(full, 4),
            "dearest kernel": kernels[0].name[:120],
            "compute capability": ".".join(map(str, facts.capability)),
        },
    )

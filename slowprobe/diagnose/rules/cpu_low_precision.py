"""The CPU multiplies in 32 bits where it has instructions for 16.

What it is: a training in float32 on a CPU with bfloat16 instructions (AMX on Xeons since 2023, AVX512_BF16 on Zen 4 and
Cooper Lake, their like on Arm).

Why it is slow: such an instruction does twice as many multiplications as its float32 counterpart, AMX eight times or
more, and half as many bytes pass through the caches.

How it is seen: matrix products and convolutions with their shapes take 30 % of a step or more. After the run the
dearest of them are timed, forward and backward, as they are and under autocast in bfloat16, conversions included.

Saving: the recorded loop with the tried layers at their measured times. Layers that were not tried are taken to gain
half as much, from nothing to as much. It is offered with low severity, and is no part of the verdict: float32 is no
fault, and rounding is the user's choice.

Stays quiet when: the CPU lacks the instructions, the products are in 16 bits already, or the trials gain less than
15 % of the products' time (small shapes often lose). Where channels_last gains as much alone, only that is advised.

Fix: with torch.autocast("cpu", dtype=torch.bfloat16): around forward and loss. It changes rounding: compare the loss
over some hundred steps.

Sources: PyTorch Performance Tuning Guide (CPU, oneDNN); PyTorch AMP documentation (CPU autocast); Intel AMX and oneDNN
documentation.
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff, place, wrap_statement
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._layers import MIN_SHARE, MIN_TRIED, SIXTEEN, changes, edits, table

MOST_HALF = 0.05  # of the products' time: a layer or two that were written so
AUTOCAST = 'with torch.autocast("cpu", dtype=torch.bfloat16):'

RULE = Rule(
    title="The CPU multiplies in 32 bits",
    bottleneck="precision",
    needs=("steps", "kernels", "costs", "partition", "host", "forwards", "source"),
)


def check(run: Evidence) -> Answer:
    """Look at what products are computed in, and what the trials say of 16 bits."""
    instructions = run.host.get("cpu_bf16")
    work = run.kernels
    if work is None:
        return NotApplicable("no matrix product or convolution ran on the CPU")
    if not instructions:
        return NotApplicable("this CPU has no instructions for bfloat16")
    if work.share < MIN_SHARE:
        return Passed(f"matrix products and convolutions take {work.share:.1%} of a step")
    half = sum(layer.ms for layer in work.layers if layer.kernel.dtype in SIXTEEN) / work.ms
    if half > MOST_HALF:
        return Passed(f"{half:.0%} of the products' time is in 16 bits")
    if work.tried_share < MIN_TRIED:
        return NotChecked(f"{work.tried_share:.0%} of the products' time could be tried in bfloat16 after the run")
    found = edits(work, run.costs)
    left = found.factors.get("bf16")
    if left is None:
        return Passed(found.words)
    with_layout = "channels_last" in found.factors
    forward = next((facts.where for facts in run.forwards), None)
    return Diagnosis(
        summary=(
            f"Products and convolutions take {work.share:.0%} of a step, in float32. This CPU has {instructions}: the "
            f"dearest of them, tried under autocast after the run, take {found.bf16:.0%} of their time"
            + (f", and {found.both:.0%} with channels_last, too." if with_layout else ".")
        ),
        where=place(forward),
        fix=Fix(
            text="Run forward and loss under autocast in bfloat16, and compare the loss over some hundred steps.",
            diff=wrap_statement(run.source, forward, AUTOCAST)
            or diff([], [AUTOCAST, "    loss = criterion(model(x), y)"]),
        ),
        changes=changes(run, list(work.layers), left),
        basis="calibrated replay",
        offer=True,
        evidence={
            "products, of a step": round(work.share, 4),
            "of it tried after the run": round(work.tried_share, 4),
            "instructions": str(instructions),
            "rate in the loop, GFLOP/s": round(work.gflops, 1),
            "layers": table(work),
        },
    )

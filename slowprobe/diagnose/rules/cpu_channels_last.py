"""Convolutions on the CPU work on images whose channels lie apart.

What it is: 2-d convolutions on contiguous (NCHW) tensors.

Why it is slow: the CPU's kernels work on blocks of channels. From NCHW every call reorders input, weight and output, or
takes a kernel that reads with a stride; in channels_last the channels of a pixel lie side by side already.

How it is seen: convolutions on NCHW tensors take 30 % of a step or more. After the run the dearest of them are timed,
forward and backward, in both layouts (the first with the batch's conversion), and the dearest operators between them:
some pools and norms are slower in channels_last, or copy the images back.

Saving: the recorded loop with the tried layers at their measured times, and what the operators between them
lose. Layers that were not tried are taken to gain half as much, from nothing to as much.

Stays quiet when: tensors are in channels_last already, the trials gain less than 15 % of the products' time, or
bfloat16 gains more and nothing is left for the layout.

Fix: model.to(memory_format=torch.channels_last), and the batches, too.

Sources: PyTorch tutorial "Channels Last Memory Format in PyTorch"; PyTorch Performance Tuning Guide; pytorch#50036 (it
can be slower, so it is measured).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._layers import MIN_SHARE, MIN_TRIED, between, changes, edits, table

RULE = Rule(
    title="Convolutions work on images whose channels lie apart",
    bottleneck="compute",
    needs=("steps", "kernels", "costs", "partition", "forwards"),
)


def check(run: Evidence) -> Answer:
    """Look at the layout of convolutions, and what the trials say of the other."""
    work = run.kernels
    mine = (
        [layer for layer in work.layers if layer.kernel.is_convolution and len(layer.kernel.left) == 4] if work else []
    )
    if work is None or not mine:
        return NotApplicable("no 2-d convolution ran on the CPU")
    apart = [layer for layer in mine if not layer.kernel.channels_last]
    spent = sum(layer.ms for layer in apart) / work.step_ms
    if spent < MIN_SHARE:
        return Passed(f"convolutions on NCHW tensors take {spent:.1%} of a step")
    if sum(layer.ms for layer in apart if layer.trial is not None) < MIN_TRIED * sum(layer.ms for layer in apart):
        return NotChecked("too few of the convolutions could be tried in both layouts after the run")
    found = edits(work, run.costs)
    left = found.factors.get("channels_last")
    if left is None:
        return Passed(found.words)
    return Diagnosis(
        summary=(
            f"Convolutions on NCHW tensors take {spent:.0%} of a step. Tried in channels_last after the run, products "
            f"and convolutions take {found.channels_last:.0%} of their time on this machine"
            + (f", and {found.both:.0%} in bfloat16, too." if "bf16" in found.factors else ".")
        ),
        where=place(*(facts.where for facts in run.forwards[:1])),
        fix=Fix(
            text="Turn the model and every batch to channels_last; the values stay the same.",
            diff=diff(
                [],
                [
                    "model = model.to(memory_format=torch.channels_last)  # once",
                    "x = x.to(memory_format=torch.channels_last)  # each batch",
                ],
            ),
        ),
        changes=changes(run, apart, left),
        basis="calibrated replay",
        evidence={
            "convolutions on NCHW tensors, of a step": round(spent, 4),
            "rate in the loop, GFLOP/s": round(work.gflops, 1),
            "operators between them in channels_last, of the convolutions' time": round(between(run.costs), 3),
            "layers": table(work),
        },
    )

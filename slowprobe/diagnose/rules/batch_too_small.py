"""A step costs much the same whatever the size of its batch, so small batches pay it often.

What it is: batches of few samples on the CPU: much of each step goes into the update of all parameters and into
starting operators.

Why it is slow: the update takes as long after 8 samples as after 16, and an operator costs microseconds to start
however little it does. The same samples in batches twice as large pay both half as often.

How it is seen: the time of the optimizers and of zero_grad; the fixed cost of the operators of forward and backward in
the profiler window; and, of the dearest matrix products and convolutions, what one sample takes in a batch of twice the
size, tried after the run.

Saving: of one pass over the same samples with batches twice as large: half of the optimizer, half of the fixed costs,
products as tried. It is offered with low severity, and is no part of the verdict: a larger batch changes the training
(fewer updates, with less noise), and the learning rate is to be tuned with it.

Stays quiet when: a pass would gain less than a fifth, operators run on an accelerator (launch-bound looks there),
batches are not a DataLoader's, or its batch is half of the data or more.

Fix: DataLoader(..., batch_size=n). Where batches are accumulated already, fewer and larger ones train the same.

Sources: Hockney (1982), the r-infinity and n-half model; Goyal et al. (2017), learning rates of large batches;
SageMaker Debugger (BatchSize).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.replay import Factor, Scale

MIN_GAIN = 0.20  # of the loop, for the same samples; less is not worth another tuning of the learning rate
UPDATE = Factor(0.5, 0.5, 0.55)  # half as many updates, with colder caches at worst
ACCUMULATES = 1.5  # backward passes for one optimizer step, from which on batches are accumulated

RULE = Rule(
    title="Batches are small",
    bottleneck="compute",
    needs=(
        "steps",
        "loaders",
        "optimizers",
        "backwards",
        "ops",
        "kernels",
        "partition",
        "replay",
        "settings",
        "source",
    ),
)


def check(run: Any) -> Answer:
    """Replay the loop with the same samples in batches twice as large."""
    if run.settings.get("devices"):
        return NotApplicable("operators run on an accelerator")
    mine = [loader for loader in run.loaders if loader.primary and loader.batch_size]
    if not mine or not run.optimizers:
        return NotApplicable("no DataLoader with a batch size feeds an optimizer")
    loader = mine[0]
    if loader.length is not None and loader.length <= 2:
        return Passed("a batch is half of the data or more")
    left = _of_passes(run)
    if left is None:
        return NotChecked("the profiler window holds no work of operators")
    seconds = {bucket: run.partition.bucket_s(bucket, "step") for bucket in ("optimizer", "zero_grad")}
    changes = [Scale(bucket, "step", spent, UPDATE) for bucket, spent in seconds.items() if spent > 0]
    for bucket in ("forward", "backward"):
        spent = run.partition.bucket_s(bucket, "step")
        changes += [Scale(bucket, "step", spent, left)] if spent > 0 else []
    outlook = run.replay.outlook(changes)
    gain = outlook.saved_s / outlook.before_s if outlook.before_s else 0.0
    if gain < MIN_GAIN:
        return Passed(f"the same samples in batches twice as large would take {1 - gain:.0%} of the time")
    return _diagnose(run, loader, changes, left, sum(seconds.values()), gain)


def _of_passes(run: Any) -> Factor | None:
    """What remains of forward and backward for the same samples in batches twice as large."""
    shares = run.ops.shares
    starting = shares.dispatch + shares.launch_gap
    whole = starting + shares.work + shares.engine
    if whole <= 0:
        return None
    fixed = starting / whole
    gained = fixed / 2
    tried = [layer for layer in run.kernels.layers if layer.trial and layer.trial.twice] if run.kernels else []
    if tried:
        share = sum(layer.ms for layer in tried) / (run.kernels.step_ms * whole) if run.kernels.step_ms else 0.0
        share = min(1.0, share)
        ms = sum(layer.ms for layer in tried)
        ratio = min(1.0, sum(layer.ms * layer.trial.twice for layer in tried) / ms) if ms else 1.0
        gained = share * (1 - ratio) + (1 - share) * gained
    expected = 1 - gained
    return Factor(max(0.5, expected - gained / 2), expected, (1 + expected) / 2)


def _diagnose(
    run: Any, loader: LoaderFacts, changes: list[Scale], left: Factor, updates_s: float, gain: float
) -> Diagnosis:
    size = int(loader.batch_size or 0)
    steps = sum(facts.calls for facts in run.optimizers)
    accumulates = sum(facts.calls for facts in run.backwards) >= ACCUMULATES * steps
    again = (
        "Accumulate half as many of them: the training stays the same."
        if accumulates
        else "It changes the training: tune the learning rate with it."
    )
    return Diagnosis(
        title=f"Batches of {size} are small for this model",
        summary=(
            f"Updating the parameters takes {updates_s / run.partition.loop_s:.0%} of loop time, and in batches twice "
            f"as large a sample would take {left.expected:.0%} of its forward and backward time: the same samples in "
            f"{1 - gain:.0%} of the time."
        ),
        where=place(loader.where),
        fix=Fix(
            text=f"Try batches of {2 * size}, where memory allows. {again}",
            diff=set_arguments(run.source, loader.where, loader.class_name, batch_size=str(2 * size)),
        ),
        changes=changes,
        basis="stated range",
        offer=True,
        evidence={
            "batch size": size,
            "optimizer and zero_grad, of loop time": round(updates_s / run.partition.loop_s, 4),
            "forward and backward a sample, with twice the batch": round(left.expected, 4),
        },
    )

"""The optimizer steps after so few samples that its steps are a large part of training.

What it is: a batch that is small beside the number of parameters. The optimizer reads and writes every parameter, its
gradient and its state once a step, however few samples the gradients are from.

Why it is slow: a step of Adam passes over 28 bytes a parameter; a sample's forward and backward pass do a few
multiplications with each. Below some ten samples a batch of a network of dense layers, the weights, too, are fetched
from memory for hardly any work.

How it is seen: optimizer steps and zero_grad take 25 % of loop time or more, and would where fused=True (tried after
the run) took what it can.

Saving: batches of twice the size. Per sample, optimizer and zero_grad take half (up to 0.6, where more memory is in
use); the dearest matrix products and convolutions are timed after the run with twice the rows; the rest is taken to
gain nothing. It is offered with low severity, and is no part of the verdict: the batch size is a part of what is
trained, and learning rate and schedule go with it.

Stays quiet when: they take less, steps evaluate the loss themselves (LBFGS, a closure), or they are a fault that
another finding mends (a loop over parameters that fused=True ends). An optimizer that is not torch's is taken as it is.

Fix: twice the batch_size; or, where memory forbids it, accumulate: (loss / 2).backward() in each batch, step() and
zero_grad() in every second. The usual start is a learning rate times 2 for SGD, times 1.4 for Adam.

Sources: Goyal et al. 2017, Accurate, Large Minibatch SGD; Malladi et al. 2022, On the SDEs and Scaling Rules for
Adaptive Gradient Algorithms; PyTorch AMP examples (gradient accumulation).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence, EvidenceMissing
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.rules._layers import changes
from slowprobe.diagnose.rules._tried_optimizer import tried_ms
from slowprobe.run.record import Site
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.kernel_work import KernelWork
from slowprobe.timeline.loop_changes import Change, Factor, Scale

MIN_SHARE = 0.25  # of loop time: then twice the batch saves an eighth of it
OTHER = 0.2  # of the steps, that is not the optimizer's own: passes of the model
HALF = Factor(0.5, 0.5, 0.6)  # see "Saving" above

RULE = Rule(
    title="The optimizer steps after few samples",
    bottleneck="optimizer",
    needs=("steps", "optimizers", "zero_grads", "loaders", "partition", "costs", "recording", "kernels", "source"),
)


def check(run: Evidence) -> Answer:
    """Add up the optimizers' steps, as short as they can be made."""
    mine = list(run.optimizers)
    if not mine:
        return NotApplicable("no optimizer was used")
    loop_s = run.partition.loop_s
    spent_s = sum(_step_s(facts) for facts in (*mine, *run.zero_grads))
    gone_s = sum(_step_s(facts) * (1 - _fused_leaves(run, facts)) for facts in mine)
    share = (spent_s - gone_s) / max(loop_s - gone_s, 1e-9)
    if share < MIN_SHARE:
        fused = ", once fused" if gone_s else ""
        return Passed(f"optimizer steps take {share:.0%} of loop time{fused}")
    within_s = sum(map(_step_s, mine)) - run.partition.bucket_s("optimizer", "step")
    if within_s > OTHER * sum(map(_step_s, mine)) or any(facts.attrs.get("class") == "LBFGS" for facts in mine):
        return Passed("the optimizer evaluates the loss several times a step")
    loader = next((each for each in run.loaders if each.primary and each.batch_size), None)
    edit = ""
    if loader is not None and loader.batch_size:
        edit = set_arguments(run.source, loader.where, loader.class_name, batch_size=str(2 * loader.batch_size))
    work = _products(run)
    left = None if work is None or work.twice is None else min(1.0, work.twice)
    measured = "" if left is None else f" In twice the batch, a sample's products take {left:.0%} of their time."
    size = f"batches of {loader.batch_size}" if loader is not None else "these batches"
    scales: list[Change] = [
        Scale(kind, "step", seconds, HALF)
        for kind, facts in (("optimizer", mine), ("zero_grad", run.zero_grads))
        if (seconds := sum(map(_step_s, facts))) > 0
    ]
    return Diagnosis(
        summary=(
            f"Optimizer steps take {spent_s / loop_s:.0%} of loop time, {spent_s / run.steps.count * 1000:.2f} ms a "
            f"step, and as much for twice as many samples: {size} are small for {_elements(mine):,} parameters."
            f"{measured}"
        ),
        where=place(loader.where if edit and loader is not None else _largest(mine)),
        fix=Fix(
            text=(
                "Train on twice the batch; or accumulate, (loss / 2).backward() in each batch, step() and zero_grad() "
                "in every second. The learning rate goes with it: times 2 for SGD, 1.4 for Adam, to start with."
            ),
            diff=edit,
        ),
        changes=scales if work is None or left is None else [*scales, *changes(run, list(work.layers), left)],
        basis="stated range" if left is None else "calibrated replay",
        offer=True,
        evidence={
            "optimizer steps, share of loop time": round(spent_s / loop_s, 4),
            "the same, once fused": round(share, 4),
            "elements of parameters": _elements(mine),
            "batch size": loader.batch_size if loader is not None else "not known",
            "a sample's products in twice the batch": "not tried" if left is None else round(left, 3),
        },
    )


def _step_s(facts: SpanFacts) -> float:
    return float(facts.scopes.get("step", 0.0))


def _elements(optimizers: list[SpanFacts]) -> int:
    return sum(int(facts.attrs.get("elements") or 0) for facts in optimizers)


def _largest(optimizers: list[SpanFacts]) -> Site | None:
    return max(optimizers, key=_step_s).where


def _fused_leaves(run: Evidence, facts: SpanFacts) -> float:
    """What fused=True leaves of this optimizer's steps; 1 where it was not tried."""
    measured = tried_ms(run, facts)
    return 1.0 if measured is None else min(1.0, measured[1] / measured[0])


def _products(run: Evidence) -> KernelWork | None:
    try:
        return run.kernels
    except EvidenceMissing:
        return None

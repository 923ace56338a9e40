"""zero_grad fills the gradients with zeros instead of dropping them.

What it is: zero_grad(set_to_none=False) keeps each gradient's memory and writes zeros into it; the backward pass then
adds to them.

Why it is slow: the memory of all gradients is written once more, and then read and written again for sums with zero. A
dropped gradient costs nothing: the backward pass puts the new one in its place.

How it is seen: the argument of zero_grad and its time; what the additions take is from the nodes that accumulate
gradients in the profiler window.

Stays quiet when: gradients are dropped (the default since torch 2.0), or both together take less than 1 % of the loop.
The additions count only where one backward pass follows each zero_grad: in gradient accumulation they are wanted.

Fix: leave set_to_none=False out. Code that reads param.grad of parameters without a gradient then finds None.

Sources: PyTorch Performance Tuning Guide (use parameter.grad = None instead of zero_grad).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.timeline.replay import Factor, Scale

MIN_SHARE = 0.01  # of loop time, as for any saving
LEFT = Factor(0.05, 0.1, 0.3)  # of zero_grad: the loop over the parameters remains
STOLEN_US = 3.0  # of a node that puts a gradient in place instead of adding it, as profiled
_LEAF = "torch::autograd::AccumulateGrad"

RULE = Rule(
    title="Gradients are filled with zeros",
    bottleneck="optimizer",
    needs=("steps", "zero_grads", "backwards", "node_times", "partition", "source"),
)


def check(run: Any) -> Answer:
    """Add up the filling and the additions that it makes necessary."""
    if not run.zero_grads:
        return NotApplicable("zero_grad is not called")
    filling = [facts for facts in run.zero_grads if facts.attrs.get("set_to_none") is False]
    if not filling:
        return Passed("zero_grad drops the gradients")
    seconds = {scope: sum(each.scopes.get(scope, 0.0) for each in filling) for scope in ("step", "off_step")}
    adding = _adding(run) if _one_backward_each(run) else 0.0
    adding_s = adding * run.partition.bucket_s("backward", "step")
    share = (sum(seconds.values()) + adding_s) / run.partition.loop_s
    if share < MIN_SHARE:
        return Passed(f"filling gradients with zeros and adding to them takes {share:.1%} of loop time")
    changes = [Scale("zero_grad", scope, spent, LEFT) for scope, spent in seconds.items() if spent > 0]
    if adding_s > 0:
        changes.append(Scale("backward", "step", adding_s, Factor(0.0, 0.2, 0.7)))
    line = run.source.line(filling[0].where.file, filling[0].where.line) if filling[0].where else ""
    edited = line.replace("set_to_none=False", "").replace("(, ", "(").replace(", )", ")")
    return Diagnosis(
        summary=(
            f"zero_grad(set_to_none=False) writes zeros for {sum(seconds.values()) / run.steps.count * 1000:.2f} ms a "
            f"step, and the backward pass adds to them for {adding_s / run.steps.count * 1000:.2f} ms: {share:.1%} of "
            "loop time."
        ),
        where=place(filling[0].where),
        fix=Fix(
            text="Let zero_grad drop the gradients, as it does by default.",
            diff=diff([line], [edited]) if edited != line else "",
        ),
        changes=changes,
        basis="calibrated replay" if adding_s else "replay",
        evidence={
            "zero_grad, ms a step": round(sum(seconds.values()) / run.steps.count * 1000, 3),
            "additions, ms a step": round(adding_s / run.steps.count * 1000, 3),
            "share of loop time": round(share, 4),
        },
    )


def _one_backward_each(run: Any) -> bool:
    """Several backward passes to one zero_grad are gradient accumulation."""
    passes = sum(facts.calls for facts in run.backwards)
    return passes <= 1.2 * sum(facts.calls for facts in run.zero_grads)  # a few calls may come before the loop


def _adding(run: Any) -> float:
    """The share of the backward passes that goes into adding gradients to zeros."""
    times = run.node_times
    total = sum(sum(step) for steps in times.values() for step in steps)
    leaves = [ms for step in times.get(_LEAF, []) for ms in step]
    return sum(max(0.0, ms - STOLEN_US / 1000) for ms in leaves) / total if total else 0.0

"""zero_grad fills the gradients with zeros instead of dropping them.

What it is: zero_grad(set_to_none=False) keeps each gradient's memory and writes zeros into it; the backward pass then
adds to them.

Why it is slow: the memory of all gradients is written once more, and then read and written again for sums with zero. A
dropped gradient costs nothing: the backward pass puts the new one in its place.

How it is seen: the argument of zero_grad and its time; what the additions take is from the nodes that accumulate
gradients in the profiler window.

A gradient of zeros also keeps its parameter in the optimizer's hands: experts, tables and heads that a batch does not
use are stepped all the same (and moved by momentum and weight decay). Parameters whose gradient is None are left out.

Saving: the time of zero_grad, less what remains of its loop; and of the optimizer's time the share of parameters that
no backward pass of the profiled steps reaches. The additions are the best case only: dropped memory has
to be fetched anew. CPU time of a step, one thread, torch 2.13, zeros against dropped, interleaved quartiles: 8 linear
layers of 1024 x 1024 36.1 and 34.1 ms, 30 of 256 x 256 11.7 and 11.1, 60 of 64 x 64 4.6 and 4.2; three of 2048 x 2048,
gradients of 16 MB, 35.8 and 37.9: there dropping loses.

Stays quiet when: gradients are dropped (the default since torch 2.0), or both filling them takes less than 1 % of the
loop, or most gradients are of more than 8 MB. The additions count only where one backward pass follows each zero_grad:
in gradient accumulation they are wanted.

Fix: leave set_to_none=False out. Code that reads param.grad of parameters without a gradient then finds None.

Sources: PyTorch Performance Tuning Guide (use parameter.grad = None instead of zero_grad).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.01  # of loop time, as for any saving
LEFT = Factor(0.05, 0.1, 1.0)  # of zero_grad: the loop over the parameters remains; at worst, new memory costs as much
UNUSED = 0.1  # of the parameters; with fewer it is within what the profiled steps differ by
LEFT_STEPPING = Factor(0.0, 0.0, 1.0)  # of the unused parameters' steps; at worst, other batches use them
LEFT_ADDING = Factor(0.3, 1.0, 1.0)  # see "Saving"
LARGE = 2_000_000  # elements, 8 MB: between sizes that were seen to gain and to lose
STOLEN_US = 3.0  # of a node that puts a gradient in place instead of adding it, as profiled
_LEAF = "torch::autograd::AccumulateGrad"

RULE = Rule(
    title="Gradients are filled with zeros",
    bottleneck="optimizer",
    needs=("steps", "zero_grads", "backwards", "optimizers", "node_times", "partition", "source"),
)


def check(run: Evidence) -> Answer:
    """Add up the filling and the additions that it makes necessary."""
    if not run.zero_grads:
        return NotApplicable("zero_grad is not called")
    filling = [facts for facts in run.zero_grads if facts.attrs.get("set_to_none") is False]
    if not filling:
        return Passed("zero_grad drops the gradients")
    seconds = {scope: sum(each.scopes.get(scope, 0.0) for each in filling) for scope in ("step", "off_step")}
    adding = _adding(run) if _one_backward_each(run) else 0.0
    adding_s = adding * run.partition.bucket_s("backward", "step")
    share = sum(seconds.values()) / run.partition.loop_s
    if share < MIN_SHARE:
        return Passed(f"filling gradients with zeros takes {share:.1%} of loop time")
    sizes = [size for facts in run.optimizers for size in facts.attrs.get("sizes") or []]
    if sum(size for size in sizes if size > LARGE) > sum(sizes) / 2:
        return Passed("gradients are filled with zeros, but so large that new memory for them would cost as much")
    changes = [Scale("zero_grad", scope, spent, LEFT) for scope, spent in seconds.items() if spent > 0]
    if adding_s > 0:
        changes.append(Scale("backward", "step", adding_s, LEFT_ADDING))
    unused = _unused(run)
    stepping_s = {
        scope: unused * sum(each.scopes.get(scope, 0.0) for each in run.optimizers) for scope in ("step", "off_step")
    }
    changes += [Scale("optimizer", scope, spent, LEFT_STEPPING) for scope, spent in stepping_s.items() if spent > 0]
    stepped = (
        f" {unused:.0%} of the parameters get no gradient in a step, and are stepped with zeros: "
        f"{sum(stepping_s.values()) / run.steps.count * 1000:.2f} ms."
        if unused
        else ""
    )
    line = run.source.line(filling[0].where.file, filling[0].where.line) if filling[0].where else ""
    edited = line.replace("set_to_none=False", "").replace("(, ", "(").replace(", )", ")")
    return Diagnosis(
        summary=(
            f"zero_grad(set_to_none=False) writes zeros for {sum(seconds.values()) / run.steps.count * 1000:.2f} ms a "
            f"step, {share:.1%} of loop time; the backward pass then adds to them, for "
            f"{adding_s / run.steps.count * 1000:.2f} ms.{stepped}"
        ),
        where=place(filling[0].where),
        fix=Fix(
            text="Let zero_grad drop the gradients, as it does by default."
            + (" Parameters that a batch does not use are then not stepped, momentum included." if unused else ""),
            diff=diff([line], [edited]) if edited != line else "",
        ),
        changes=changes,
        basis="stated range",
        evidence={
            "zero_grad, ms a step": round(sum(seconds.values()) / run.steps.count * 1000, 3),
            "additions, ms a step": round(adding_s / run.steps.count * 1000, 3),
            "parameters without a gradient in a step": round(unused, 3),
            "share of loop time": round(share, 4),
        },
    )


def _unused(run: Evidence) -> float:
    """The share of the optimizers' parameters that no backward pass of a profiled step reaches; 0 where few are."""
    params = sum(int(facts.attrs.get("params") or 0) for facts in run.optimizers)
    reached = [len(step) for step in run.node_times.get(_LEAF, [])]
    if not params or not reached or not _one_backward_each(run):
        return 0.0
    share = 1 - max(reached) / params
    return share if share >= UNUSED else 0.0


def _one_backward_each(run: Evidence) -> bool:
    """Several backward passes to one zero_grad are gradient accumulation."""
    passes = sum(facts.calls for facts in run.backwards)
    return bool(passes <= 1.2 * sum(facts.calls for facts in run.zero_grads))  # a few calls may come before the loop


def _adding(run: Evidence) -> float:
    """The share of the backward passes that goes into adding gradients to zeros."""
    times = run.node_times
    total = sum(sum(step) for steps in times.values() for step in steps)
    leaves = [ms for step in times.get(_LEAF, []) for ms in step]
    return sum(max(0.0, ms - STOLEN_US / 1000) for ms in leaves) / total if total else 0.0

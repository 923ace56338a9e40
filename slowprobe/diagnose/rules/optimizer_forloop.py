"""The optimizer updates its parameters one at a time.

What it is: on the CPU the default implementation of Adam, AdamW, SGD and Adagrad is a Python loop over parameters, with
a dozen small operators for each.

Why it is slow: each operator costs microseconds to start, whatever its size; with many small parameters the start-up is
all there is. `fused=True` updates a parameter in a single kernel.

How it is seen: the time inside Optimizer.step. What the fused implementation would take is measured on this machine
right after the run, on tensors of the same sizes, next to the present one.

Stays quiet when: the optimizer is fused already, takes less than 3 % of loop time, or the measurement shows no gain (a
few large parameters, where memory bandwidth decides).

Fix: torch.optim.AdamW(..., fused=True).

Sources: torch.optim documentation (foreach and fused implementations); torchtitan#355, deepmd-kit#4463 (GPU gains).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.loop_changes import Factor, Scale, as_measured

MIN_SHARE = 0.03  # of loop time: a smaller optimizer is within step-to-step noise
SPREAD = 0.25  # the measurement runs with warm caches and without the user's other tensors around it
UNLIKE = 4.0  # a step in the loop over one measured apart; more than cold caches explain, so the ratio may not hold
FUSABLE = ("Adam", "AdamW", "SGD", "Adagrad")  # the optimizers whose fused=True works on the CPU (torch 2.6 and later)
UNMEASURED = Factor(0.15, 0.35, 0.7)  # from 200 to 1,000 small tensors, for runs that were killed before measuring
MIN_SMALL = 50  # parameters; with fewer there is no loop to speak of, and unmeasured advice would be a guess

RULE = Rule(
    title="The optimizer updates one parameter at a time",
    bottleneck="optimizer",
    needs=("steps", "optimizers", "costs", "partition", "source", "recording"),
)


def check(run: Any) -> Answer:
    """Compare each optimizer's steps with what fused ones were measured to take."""
    loop_s = run.partition.loop_s
    if not run.optimizers:
        return NotApplicable("no torch optimizer was used")
    large = [facts for facts in run.optimizers if facts.loop_s >= MIN_SHARE * loop_s]
    if not large:
        share = sum(facts.loop_s for facts in run.optimizers) / loop_s
        return Passed(f"optimizers take {share:.1%} of loop time")
    open_ones = [facts for facts in large if facts.attrs.get("class") in FUSABLE and not facts.attrs.get("fused")]
    if not open_ones:
        return Passed("the optimizers that take time are fused already, or have no fused implementation")
    numbers = {
        subject.site: number for number, subject in run.recording.subjects.items() if subject.kind == "optimizer"
    }
    found = [diagnosis for facts in open_ones if (diagnosis := _diagnose(run, facts, numbers.get(facts.where)))]
    return found or NotChecked("fused=True was not measured, or gains nothing on these parameters")


def _diagnose(run: Any, facts: SpanFacts, number: int | None) -> Diagnosis | None:
    now_ms = run.costs.get(f"optimizer.{number}.default_ms")
    fused_ms = run.costs.get(f"optimizer.{number}.fused_ms")
    params, elements = int(facts.attrs.get("params") or 0), int(facts.attrs.get("elements") or 0)
    if now_ms and fused_ms:
        ratio = min(1.0, fused_ms / now_ms)
        factor = as_measured(ratio, SPREAD)
        measured = f"; fused takes {ratio:.0%} of that on this machine"
        apart = facts.total_s / facts.calls * 1000 / now_ms
        if apart > UNLIKE:
            factor = Factor(factor.best, factor.expected, 1.0)
            measured += f", but a step in the loop took {apart:.0f} times what it takes apart (a busy machine?)"
    elif params >= MIN_SMALL and not run.costs:
        factor, measured = UNMEASURED, ""
    else:
        return None
    share = facts.loop_s / run.partition.loop_s
    edit = set_arguments(run.source, facts.where, str(facts.attrs.get("class")), fused="True")
    inside = "" if edit else " What this line calls makes the optimizer: hand it fused=True through its settings."
    return Diagnosis(
        title=f"{facts.name} updates {params} parameters one at a time",
        summary=(
            f"Its steps take {share:.0%} of loop time, {facts.total_s / facts.calls * 1000:.2f} ms each, for {params} "
            f"parameters of {elements // max(params, 1):,} elements on average{measured}."
        ),
        where=place(facts.where),
        fix=Fix(
            text=f"Ask for the fused implementation of {facts.name}: same mathematics, one kernel a parameter.{inside}",
            diff=edit,
        ),
        changes=[Scale("optimizer", scope, seconds, factor) for scope, seconds in facts.scopes.items() if seconds > 0],
        basis="calibrated replay" if measured else "stated range",
        evidence={
            "optimizer": str(facts.attrs.get("class")),
            "parameters": params,
            "elements": elements,
            "steps": facts.calls,
            "share of loop time": round(share, 4),
            "one step now, measured apart, ms": round(now_ms, 3) if now_ms else "not measured",
            "one fused step, measured apart, ms": round(fused_ms, 3) if fused_ms else "not measured",
        },
    )

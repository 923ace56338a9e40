"""The optimizer updates its parameters one at a time.

What it is: on the CPU the default implementation of Adam, AdamW, SGD and Adagrad is a Python loop over parameters, with
a dozen small operators for each.

Why it is slow: each operator costs microseconds to start, whatever its size; with many small parameters the start-up is
all there is. `fused=True` updates a parameter in a single kernel.

How it is seen: the time inside Optimizer.step. What the fused implementation would take is measured on this machine
right after the run, on tensors of the same sizes, next to the present one. Optimizers that one line makes (a dict of
them, one for each network) are one finding: the edit of the line mends them all.

An optimizer of the user's own is looked at through the operators that its class launches: three or more on each of 20
parameters or more. Where they are arithmetic with a square root, it is taken for a kind of Adam, and torch's fused one
is measured beside it; else each of its operations, done for all parameters in one call.

Stays quiet when: the optimizer is fused already, takes less than 3 % of loop time, or the measurement shows no gain (a
few large parameters, where memory bandwidth decides).

Fix: torch.optim.AdamW(..., fused=True); in an optimizer of one's own, torch._foreach_ functions on lists of tensors.

Sources: torch.optim documentation (foreach and fused implementations); torchtitan#355, deepmd-kit#4463 (GPU gains).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence, EvidenceMissing
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._own_optimizer import diagnose_own, own_step
from slowprobe.diagnose.rules._tried_optimizer import number_of, tried_ms
from slowprobe.run.record import Site
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
    needs=("steps", "optimizers", "costs", "partition", "source", "recording", "ops"),
)


def check(run: Evidence) -> Answer:
    """Compare each optimizer's steps with what fused ones were measured to take."""
    loop_s = run.partition.loop_s
    if not run.optimizers:
        return NotApplicable("no torch optimizer was used")
    large = [facts for facts in run.optimizers if _of_line(run, facts) >= MIN_SHARE * loop_s]
    if not large:
        share = sum(facts.loop_s for facts in run.optimizers) / loop_s
        return Passed(f"optimizers take {share:.1%} of loop time")
    if own := _own(run, large):
        return own
    open_ones = [facts for facts in large if facts.attrs.get("class") in FUSABLE and not facts.attrs.get("fused")]
    if not open_ones:
        return Passed("the optimizers that take time are fused already, or have no fused implementation")
    by_line: dict[Site | None, list[Tried]] = defaultdict(list)
    for facts in open_ones:
        if (tried := _try(run, facts)) is not None:
            by_line[facts.where].append(tried)
    found = [_diagnose(run, together) for together in by_line.values()]
    return found or NotChecked("fused=True was not measured, or gains nothing on these parameters")


def _own(run: Evidence, large: list[SpanFacts]) -> list[Diagnosis]:
    others = [facts for facts in large if not str(facts.attrs.get("module", "torch")).startswith("torch")]
    try:
        steps = [step for facts in others if (step := own_step(run, facts)) is not None]
    except EvidenceMissing:  # no operators were recorded
        return []
    found = (diagnose_own(run, step, number_of(run, step.facts)) for step in steps)
    return [diagnosis for diagnosis in found if diagnosis is not None]


def _of_line(run: Evidence, facts: SpanFacts) -> float:
    """Loop seconds of all optimizers that the same line makes."""
    same = [each for each in run.optimizers if each.where == facts.where and facts.where is not None]
    return sum(float(each.loop_s) for each in same or [facts])


@dataclass(frozen=True)
class Tried:
    """One optimizer, and what its fused form leaves of its time."""

    facts: SpanFacts
    factor: Factor
    now_ms: float | None
    fused_ms: float | None

    @property
    def apart(self) -> float:
        """How many times what a step takes apart it took in the loop; 1 where nothing was measured."""
        return self.facts.total_s / self.facts.calls * 1000 / self.now_ms if self.now_ms else 1.0

    @property
    def words(self) -> str:
        """The measurement, for the summary."""
        if not self.now_ms or not self.fused_ms:
            return ""
        said = f"; fused takes {min(1.0, self.fused_ms / self.now_ms):.0%} of that on this machine"
        if self.apart > UNLIKE:
            said += f", but a step in the loop took {self.apart:.0f} times what it takes apart (a busy machine?)"
        return said


def _try(run: Evidence, facts: SpanFacts) -> Tried | None:
    measured = tried_ms(run, facts)
    if measured is not None:
        now_ms, fused_ms = measured
        tried = Tried(facts, as_measured(min(1.0, fused_ms / now_ms), SPREAD), now_ms, fused_ms)
        if tried.apart > UNLIKE:
            return replace(tried, factor=replace(tried.factor, worst=1.0))
        return tried
    if int(facts.attrs.get("params") or 0) >= MIN_SMALL and not run.costs:
        return Tried(facts, UNMEASURED, None, None)
    return None


def _diagnose(run: Evidence, together: list[Tried]) -> Diagnosis:
    """All optimizers that one line makes: its edit mends them all."""
    tried, facts = together[0], together[0].facts
    params = sum(int(each.facts.attrs.get("params") or 0) for each in together)
    elements = sum(int(each.facts.attrs.get("elements") or 0) for each in together)
    share = sum(each.facts.loop_s for each in together) / run.partition.loop_s
    edit = set_arguments(run.source, facts.where, str(facts.attrs.get("class")), fused="True")
    inside = "" if edit else " What this line calls makes the optimizer: hand it fused=True through its settings."
    several = f" of {len(together)} optimizers that this line makes" if len(together) > 1 else ""
    return Diagnosis(
        title=f"{facts.name} updates {params} parameters one at a time",
        summary=(
            f"The steps{several} take {share:.0%} of loop time, {facts.total_s / facts.calls * 1000:.2f} ms each, for "
            f"{params} parameters of {elements // max(params, 1):,} elements on average{tried.words}."
        ),
        where=place(facts.where),
        fix=Fix(
            text=f"Ask for the fused implementation of {facts.name}: same mathematics, one kernel a parameter.{inside}",
            diff=edit,
        ),
        changes=[
            Scale("optimizer", scope, seconds, each.factor)
            for each in together
            for scope, seconds in each.facts.scopes.items()
            if seconds > 0
        ],
        basis="calibrated replay" if tried.now_ms else "stated range",
        evidence={
            "optimizer": str(facts.attrs.get("class")),
            "optimizers": len(together),
            "parameters": params,
            "elements": elements,
            "steps": facts.calls,
            "share of loop time": round(share, 4),
            "one step now, measured apart, ms": round(tried.now_ms, 3) if tried.now_ms else "not measured",
            "one fused step, measured apart, ms": round(tried.fused_ms, 3) if tried.fused_ms else "not measured",
        },
    )

"""A large part of the loop's time goes into evaluating.

What it is: evaluations inside the training loop that together take a fifth of its time or more.

Why it is slow: nothing is trained meanwhile. What an evaluation tells changes slowly; its price is paid each time.

How it is seen: the time of evaluation loaders, of forward passes on their batches and of all that lies between, and how
many evaluations there were. The fix is replayed: every k-th evaluation stays, with k such that evaluating takes about a
tenth of loop time.

Stays quiet when: evaluating takes less than 20 % of loop time, or there was only one evaluation. Where much of it is
forward passes with gradients on, it does not judge: see evaluation-with-grad, whose edit costs nothing, then run again.

Fix: evaluate every k-th time, or on a fixed part of the data; larger batches and loader workers for the evaluation.

Sources: Lightning, Speed Up Model Training (validation frequency: check_val_every_n_epoch, val_check_interval).
"""

from __future__ import annotations

import math

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import editable
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._evaluation_call import loop_call
from slowprobe.diagnose.turns import rarer, turn_of
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale

MAX_SHARE = 0.20  # of loop time: one second in five, what counts as high severity; a choice, not a measurement
TARGET_SHARE = 0.10  # what the recommended interval leaves
MAX_WITH_GRAD = 0.3  # of evaluation; what it costs when done right is then not known, and less of it is not the cause
SHORTER = 2.0  # an interval this much longer or shorter is as good an answer: the range around the recommendation

RULE = Rule(
    title="Evaluation takes much of the loop's time",
    bottleneck="evaluation",
    needs=("evaluation", "evaluation_stacks", "backwards", "partition", "loaders", "source", "steps"),
)


def check(run: Evidence) -> Answer:
    """Weigh evaluations against training."""
    evaluation, loop_s = run.evaluation, run.partition.loop_s
    if not evaluation.total_s or not evaluation.count:
        return NotApplicable("no evaluation inside the training loop")
    share = evaluation.total_s / loop_s
    if share < MAX_SHARE:
        return Passed(f"evaluating takes {share:.0%} of loop time")
    if evaluation.count < 2:
        return Passed("there was a single evaluation")
    if evaluation.grad_forward_s >= MAX_WITH_GRAD * evaluation.total_s and _builds_graphs(run):
        return NotChecked(f"evaluating takes {share:.0%} of loop time, but with gradients on: turn those off first")
    training_s = (loop_s - evaluation.total_s) / max(run.steps.count, 1) * evaluation.steps_between
    needed = evaluation.mean_s / training_s * (1 - TARGET_SHARE) / TARGET_SHARE if training_s > 0 else 0.0
    times = max(2, math.ceil(needed))
    called, call, edited = _places(run)
    return Diagnosis(
        summary=(
            f"{evaluation.count} evaluations of {evaluation.mean_s:.2f} s, one every {evaluation.steps_between:.0f} "
            f"steps, take {share:.0%} of loop time. One in {times} would take about {TARGET_SHARE:.0%}."
        ),
        where=place(call, called) if call != called else place(called),
        fix=Fix(
            text=f"Evaluate {times} times less often, or on a fixed part of the data.{_about_loader(run)}",
            diff=rarer(run.source, editable(run, [edited]), times) if edited else "",
        ),
        changes=[Scale("evaluation", "off_step", evaluation.total_s, _remaining(evaluation.count, times))],
        evidence={
            "evaluations": evaluation.count,
            "one evaluation, s": round(evaluation.mean_s, 3),
            "share of loop time": round(share, 4),
            "training steps between two": round(evaluation.steps_between, 1),
            "recommended: one in": times,
        },
    )


def _remaining(count: int, times: int) -> Factor:
    """What is left when every `times`-th of `count` stays, the first included."""

    def left(interval: float) -> float:
        return min(1.0, math.ceil(count / max(interval, 1.0)) / count)

    return Factor(left(times * SHORTER), left(times), left(times / SHORTER))


def _builds_graphs(run: Evidence) -> bool:
    return any(facts.attrs.get("grad") and facts.attrs.get("trainable", 1) != 0 for facts in run.evaluation.forwards)


def _places(run: Evidence) -> tuple[Site | None, Site | None, Site | None]:
    """Where the evaluation calls the model (or makes its loader), where the loop calls it, and what to make rarer.

    The last is None where the source does not say it. A stack sample in an evaluation shows the call. Without one: a
    model that generates calls itself in a loop of its own, nobody's training loop, so of all places one that a training
    loop leads to is best, then one under a condition on a step counter.
    """
    seen = loop_call(run)
    sites = [facts.where for facts in run.evaluation.forwards if facts.where is not None]
    sites += [loader.where for loader in run.loaders if loader.role == "evaluation" and loader.where is not None]
    if seen is not None:
        return (sites[0] if sites else seen.site), seen.site, seen.site
    turns = [(site, turn) for site in sites if (turn := turn_of(run.source, site)) is not None]
    for known in (lambda turn: turn.trains, lambda turn: turn.guard is not None, lambda turn: turn.called):
        for site, turn in turns:
            if known(turn):
                return site, turn.site if turn.called else site, site
    called = sites[0] if sites else None
    return called, called, None


def _about_loader(run: Evidence) -> str:
    slow = [loader for loader in run.loaders if loader.role == "evaluation" and loader.num_workers == 0]
    waited = sum(loader.wait_s for loader in slow)
    if waited < 0.3 * run.evaluation.total_s:
        return ""
    return (
        f" Its loader has no workers and takes {waited / run.evaluation.total_s:.0%} of that time: give it some first."
    )

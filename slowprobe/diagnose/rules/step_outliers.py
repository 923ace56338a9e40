"""Every so often a step takes many times as long as the others, for work that is done every N steps.

What it is: under a condition such as ``if step % 50 == 0``, Python work that takes longer than many steps: statistics
over all parameters, a plot, a dump of samples.

Why it is slow: nothing is trained meanwhile. The median step does not show it; the mean, and with it the length of the
training, does. In a distributed job all ranks wait for the one that does it.

How it is seen: steps of more than twice the median (and far outside its spread), each explained by the part in which it
takes longer; the lines are those of stack samples that stand under a condition on a step counter. The fix is replayed:
the same work N times rarer, with N such that it takes 1 % of loop time.

Stays quiet when: such steps cost less than 5 % of loop time, there are fewer than three, or most of their extra time
goes into something else: collections (gc-pause), waiting for data (the input rules), or everything at once, which is
the machine. The report's section on steps names these.

Fix: a larger N, or the work in a thread or process of its own, on a copy.

Sources: SageMaker Debugger, StepOutlier; TraceML, step variance.
"""

from __future__ import annotations

import math

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import in_trainer, sampled_lines, scale_lines, shares
from slowprobe.diagnose.intervals import times_rarer
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._media import is_media
from slowprobe.diagnose.turns import rarer, turn_of
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.outliers import MIN_STEPS, Outliers

MIN_SHARE = 0.05  # of loop time; an interval that costs less is somebody's choice
MIN_OUTLIERS = 3  # two are no habit
MIN_EXPLAINED = 0.6  # of the outliers' extra time in Python and logging
TARGET_SHARE = 0.01  # of loop time, what the recommended interval leaves
BUCKETS = ("python", "log")
MOSTLY = 0.5  # of the outliers' extra time; below, something else matters more

RULE = Rule(
    title="Work done every N steps takes longer than many steps",
    bottleneck="host",
    needs=("steps", "outliers", "logs", "lines", "partition", "source", "backwards"),
    closer_than=("python-bound",),
)


def check(run: Evidence) -> Answer:
    """Find the lines behind the outliers."""
    outliers: Outliers | None = run.outliers
    if outliers is None:
        return NotChecked(f"fewer than {MIN_STEPS} steady steps were recorded one by one")
    if not outliers.steps:
        return Passed(f"no step is an outlier; the 99th percentile is {outliers.p99_over_p50:.1f} times the median")
    # Of a long run a part was recorded step by step; the rest is like it.
    scale = max(1.0, run.steps.count / outliers.of_steps)
    mine = [cause for cause in outliers.causes if cause.bucket in BUCKETS]
    extra_s, loop_s = scale * sum(cause.extra_s for cause in mine), run.partition.loop_s
    count = sum(cause.occasions for cause in mine)
    most = ", ".join(f"{cause.label} ({cause.steps})" for cause in outliers.causes[:3])
    said = f"{outliers.steps} of {outliers.of_steps} steps are outliers: {most}"
    if extra_s < MIN_SHARE * loop_s or count < MIN_OUTLIERS or extra_s < MOSTLY * scale * outliers.extra_s:
        return Passed(said)
    lines, calls = _periodic(run)
    seconds: dict[Site, float] = {}
    for line in lines:
        seconds[line.site] = seconds.get(line.site, 0.0) + line.seconds
    for where, spent in calls:
        seconds[where] = seconds.get(where, 0.0) + spent
    if sum(seconds.values()) < MIN_EXPLAINED * extra_s:
        return Passed(f"{said}; no line under a condition on the step explains them")
    occasions = max(1, round(count * scale))
    times = times_rarer(sum(seconds.values()), loop_s - sum(seconds.values()), TARGET_SHARE)
    left = min(1.0, math.ceil(occasions / times) / occasions)
    factor = Factor(left / 2, left, min(1.0, 5 * left))  # whoever follows the advice picks an interval like it
    changes = [*scale_lines(lines, factor), *(Scale("log", "step", spent, factor) for _, spent in calls)]
    return _diagnose(run, outliers, seconds, occasions, times, changes)


def _diagnose(
    run: Evidence, outliers: Outliers, seconds: dict[Site, float], occasions: int, times: int, changes: list[Scale]
) -> Diagnosis:
    spent, loop_s = sum(seconds.values()), run.partition.loop_s
    longest_ms = max(cause.longest_ms for cause in outliers.causes if cause.bucket in BUCKETS)
    where = shares(seconds)
    return Diagnosis(
        summary=(
            f"{occasions} of {run.steps.count:,} steps take up to {longest_ms:.0f} ms, the usual one "
            f"{run.steps.median_ms():.1f} ms: work now and then takes {spent / occasions * 1000:.0f} ms each time, "
            f"{spent / loop_s:.0%} of loop time. {times} times rarer it would take about {TARGET_SHARE:.0%}."
        ),
        where=where,
        fix=Fix(
            text=(
                f"Do this {times} times less often, or in a thread or process of its own on a copy, where the training "
                "does not depend on it."
            ),
            diff=rarer(run.source, [Site(place.file, place.line, place.function) for place in where[:1]], times),
        ),
        changes=changes,
        evidence={
            "outliers": outliers.steps,
            "longer than, ms": round(outliers.from_ms, 2),
            "99th percentile / median": round(outliers.p99_over_p50, 2),
            "share of loop time": round(spent / loop_s, 4),
            "causes": {
                "columns": ["what takes longer", "steps", "extra seconds", "longest step, ms"],
                "rows": [
                    [cause.label, cause.steps, round(cause.extra_s, 3), round(cause.longest_ms, 1)]
                    for cause in outliers.causes
                ],
            },
        },
    )


def _periodic(run: Evidence) -> tuple[list[LineTime], list[tuple[Site, float]]]:
    """Sampled lines, and log calls with their seconds, that a condition on a step counter makes rare."""
    lines = [
        line
        for line in sampled_lines(run)
        if (line.scope, line.bucket) == ("step", "python")
        and not in_trainer(run, line.site)
        and _guarded(run, line.site)
    ]
    calls = [
        (facts.where, facts.scopes["step"])
        for facts in run.logs
        if facts.scopes.get("step", 0.0) > 0
        and facts.where is not None
        and not is_media(run, facts)
        and _guarded(run, facts.where)
    ]
    return lines, calls


def _guarded(run: Evidence, site: Site | None) -> bool:
    """Whether a condition on a step counter decides whether the line runs."""
    turn = turn_of(run.source, site)
    return turn is not None and turn.guard is not None

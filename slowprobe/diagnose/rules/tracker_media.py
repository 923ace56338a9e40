"""Histograms, images or figures are sent to the experiment tracker too often.

What it is: add_histogram over all parameters, add_image(s), add_figure, wandb.Image and the like inside the training
loop.

Why it is slow: a histogram copies the tensor to the host and sorts it into bins, an image is encoded as PNG, a figure
is drawn; all on the training thread, milliseconds to seconds each, where a scalar takes microseconds.

How it is seen: spans around the tracker calls, by the user's line, and stack samples of the same statements and of the
helper function they are in. A tracker without spans (one of your own) is known by its names, add_histogram or
log_image, and by samples. The first line named is the call in the loop. The fix is replayed: the same calls N times
rarer, with N such that they take 1 % of loop time.

Stays quiet when: they take less than 2 % of loop time, are made once, or belong to an evaluation (see
evaluation-too-often). Scalars and text are left to logging-every-step; what wandb.watch does inside backward is not
told apart from backward.

Fix: if step % N == 0: around the calls.

Sources: PyTorch, torch.utils.tensorboard; Weights & Biases, wandb.watch(log_freq=1000 by default).
"""

from __future__ import annotations

import math
from collections import defaultdict

from slowprobe.diagnose.edit_site import edits_first
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import around_call, editable, sampled_lines, scale_lines, shares
from slowprobe.diagnose.intervals import times_rarer
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._media import is_media, media_lines, media_name
from slowprobe.diagnose.turns import rarer
from slowprobe.run.record import Site
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Change, Factor, Scale

MIN_SHARE = 0.02  # of loop time; nobody looks at more pictures than that pays for
TARGET_SHARE = 0.01  # of loop time, what the recommended interval leaves
MIN_SAMPLES = 10  # where there are no spans; a share from fewer is off by a third or more
MAIN_PART = 0.2  # of the time: a line with less does not say how often there are media
AROUND = ("make_grid(", "Image(", "Histogram(", "figure(", "subplots(", "plt.", "imshow(", "plot(")

RULE = Rule(
    title="Histograms or images are logged too often",
    bottleneck="logging",
    needs=("steps", "logs", "backwards", "lines", "partition", "source"),
    closer_than=("python-bound", "step-outliers", "cpu-metrics-in-step", "external-wait"),
)


def check(run: Evidence) -> Answer:
    """Weigh the media against training."""
    media = [facts for facts in run.logs if is_media(run, facts) and _seconds(facts) > 0]
    own = media_lines(run)
    if not media and not own:
        return NotApplicable("no histogram, image or figure is logged inside the training loop")
    lines = list(dict.fromkeys([*_lines_around(run, media), *own]))
    seconds: dict[Site, float] = defaultdict(float)
    for facts in media:
        seconds[facts.where or Site("", 0, "")] += _seconds(facts)
    for line in lines:
        seconds[line.site] += line.seconds
    spent, loop_s = sum(seconds.values()), run.partition.loop_s
    if spent < MIN_SHARE * loop_s:
        return Passed(f"histograms and images take {spent / loop_s:.1%} of loop time")
    if not media and sum(line.samples for line in own) < MIN_SAMPLES:
        return NotChecked("histograms and images: too few stack samples to tell what they take")
    calling = sum(map(_seconds, media)) + sum(line.seconds for line in own)
    counts = [facts.occasions for facts in media if _seconds(facts) >= MAIN_PART * calling]
    counts += [round(times) for line, times in own.items() if line.seconds >= MAIN_PART * calling]
    count = max(counts, default=0)
    times = times_rarer(spent, loop_s - spent, TARGET_SHARE)
    if count < 2 or times < 2:
        return Passed(f"histograms and images are logged {count} times in {run.steps.count} steps")
    steps_between = run.steps.count / count
    interval = max(2, round(times * steps_between))
    how_often = "in every step" if 0.9 <= steps_between <= 1.1 else f"every {steps_between:.3g} steps"
    where = shares(seconds)
    names = {facts.name.rpartition(".")[2] if "add_" in facts.name else "wandb.log" for facts in media}
    names |= {media_name(run, line) for line in own}
    calls = sum(facts.calls for facts in media) / count
    number = f"{calls:.0f} call{'s' if calls >= 1.5 else ''} " if media else "calls "
    return Diagnosis(
        summary=(
            f"{', '.join(sorted(names))}: {number}{how_often} take "
            f"{spent / count * 1000:.0f} ms each time, {spent / loop_s:.0%} of loop time. Every {interval:,} steps "
            f"they would take about {TARGET_SHARE:.0%}."
        ),
        where=edits_first(run.source, where, droppable=True),
        fix=Fix(
            text=f"Log histograms and images every {interval:,} steps; scalars can stay as they are.",
            diff=rarer(run.source, editable(run, [Site(at.file, at.line, at.function) for at in where]), interval if
                       steps_between <= 1.1 else times),
        ),
        changes=_changes(media, lines, min(1.0, math.ceil(count / times) / count)),
        evidence={
            "occasions": count,
            "steps between two": round(steps_between, 2),
            "calls on each": round(calls, 1) if media else "not recorded",
            "one occasion, ms": round(spent / count * 1000, 2),
            "of it in the calls, ms": round(calling / count * 1000, 2),
            "share of loop time": round(spent / loop_s, 4),
            "recommended steps between two": interval,
        },
    )  # fmt: skip


def _changes(media: list[SpanFacts], lines: list[LineTime], left: float) -> list[Change]:
    factor = Factor(left / 2, left, min(1.0, 5 * left))  # whoever follows the advice picks an interval like it
    calls = [
        Scale("log", scope, seconds, factor)
        for facts in media
        for scope in ("step", "off_step")
        if (seconds := facts.scopes.get(scope, 0.0) - (facts.evaluation_s if scope == "off_step" else 0.0)) > 0
    ]
    return [*calls, *scale_lines(lines, factor)]


def _seconds(facts: SpanFacts) -> float:
    """Inside the loop, and not a part of an evaluation."""
    return max(0.0, facts.loop_s - facts.evaluation_s)


def _lines_around(run: Evidence, media: list[SpanFacts]) -> list[LineTime]:
    lines = sampled_lines(run)
    found = [
        line
        for facts in media
        if facts.where is not None
        for line in around_call(run, lines, facts.where, AROUND, whole_helper=True)
    ]
    return list(dict.fromkeys(found))

"""Metrics or statistics are computed on the CPU in every step.

What it is: scikit-learn, SciPy or NumPy metrics of the batch, histograms of activations, norms of every parameter:
figures that somebody may look at, and that training does without.

Why it is slow: the training thread computes them while nothing is trained; such libraries check their arguments and
sort in Python for milliseconds, whatever the batch. On an accelerator the values have to come back first.

How it is seen: stack samples between the parts of the step, on lines that call such a library, are named like a
metric, or read parameters one by one; where the source of the loop says that nothing they compute reaches a backward
pass, an optimizer step or a decision. The fix is replayed: the same once in 50 steps.

Saving: a fiftieth of it remains where that is the interval; up to a quarter where an epoch's figure has to be kept up
with tensors meanwhile.

Stays quiet when: it takes less than 3 % of loop time, stands under a condition like step % 100 == 0, its result is
trained with (an augmentation, advantages, a scheduler), it is only for what is logged at each step
(logging-every-step), or Python of one's own adds it up over all batches for a figure that is read after the loop (what
makes that quicker is python-bound's matter).

Fix: if step % 50 == 0: around the lines; for figures of a whole epoch, collect detached tensors and compute once at its
end (torchmetrics); for norms of parameters, torch._foreach_norm.

Sources: torchmetrics documentation; PyTorch Lightning (log_every_n_steps, 50 by default).
"""

from __future__ import annotations

import re
from collections import defaultdict

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.hot_lines import (
    BETWEEN_SPANS,
    editable,
    holds,
    led_to,
    may_wait_for_device,
    sampled_lines,
    scale_lines,
    shares,
    turn_at,
)
from slowprobe.diagnose.observing import changes_tensors, keeps_a_total, only_observes
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._every_step import every_step_log
from slowprobe.diagnose.rules._media import media_lines
from slowprobe.diagnose.turns import Turn, rarer
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Factor

MIN_SHARE = 0.03  # of loop time, as for logging
MIN_SAMPLES = 10  # a share from fewer is off by a third or more
EVERY = 50  # Lightning's default interval
REMAINING = Factor(1 / 100, 1 / EVERY, 1 / 4)  # see "Saving" above
SYNCS = (".item(", ".cpu(", ".tolist(", ".numpy(")  # on a device: work that is waited for, not a metric
PACKAGES = ("sklearn", "scipy", "numpy", "pandas", "evaluate", "seqeval", "sacrebleu", "rouge_score", "pycocotools")
_LIBRARY = re.compile(r"\b(?:np|numpy|scipy|sklearn|pd)\.\w|\.numpy\(\)")
_METRIC = re.compile(
    r"metric|accuracy|\bacc\b|f1|auc|(?<![a-z])recall|precision(?!=)|confusion|bleu|rouge|(?<![a-z])(?:wer|cer|iou|mae)"
    r"(?![a-z])|dice|perplexity|spearman|pearson|histogram|statistic|(?<![a-z])stats|grad_norm|r2_score",
    re.IGNORECASE,
)
_OVER_PARAMETERS = re.compile(r"\bfor\b.+\bin\b.+parameters\(|state_dict\(\)")
_STATISTIC = re.compile(r"\.(?:item|norm|std|var|mean|abs|histc|max|min|median|quantile|numpy|tolist)\(")

RULE = Rule(
    title="Metrics are computed on the CPU in every step",
    bottleneck="host",
    needs=("steps", "lines", "logs", "backwards", "partition", "source", "settings"),
    closer_than=("python-bound", "python-param-loops", "tiny-op-loop", "external-wait"),
)


def check(run: Evidence) -> Answer:
    """Add up what is computed at each step and only looked at."""
    lines = [line for line in sampled_lines(run) if line.scope == "step" and line.bucket in BETWEEN_SPANS]
    if not lines:
        return NotChecked("no stack samples between the parts of a step")
    syncs = SYNCS if may_wait_for_device(run) else ()
    logged = [facts.where for facts in run.logs if facts.where is not None]
    of_logging = {*every_step_log(run).lines, *media_lines(run)}
    lines = [line for line in lines if line not in of_logging]
    groups: dict[Site, dict[LineTime, None]] = defaultdict(dict)
    trained_with, led = 0.0, led_to(run, lines)
    for line in lines:
        if not _measures(run, line) or holds(run, line, syncs) or _logs(run, line, logged):
            continue
        turn = turn_at(run, line)
        if turn is None or turn.guard is not None:
            continue
        if not _by_library(run, line) and keeps_a_total(run.source, turn):
            continue
        if _is_trained_with(run, turn, line):
            trained_with += line.seconds
            continue
        members = led.get(turn.site, [])
        if turn.called and any(changes_tensors(run.source, part.file, part.line) for part in members):
            trained_with += line.seconds
            continue
        groups[turn.site].update(dict.fromkeys(part for part in members if not holds(run, part, syncs)))
    found = list(dict.fromkeys(line for members in groups.values() for line in members))
    spent, loop_s = sum(line.seconds for line in found), run.partition.loop_s
    sampled = sum(line.samples for line in found)
    if spent >= MIN_SHARE * loop_s and sampled < MIN_SAMPLES:
        return NotChecked(f"{spent / loop_s:.0%} of loop time, but by {sampled} stack samples only: too few to tell")
    if spent < MIN_SHARE * loop_s:
        kept = f"; {trained_with / loop_s:.0%} in what training goes on with" if trained_with else ""
        return Passed(f"metrics and statistics in the steps take {spent / loop_s:.1%} of loop time{kept}")
    return _diagnose(run, groups, found, spent)


def _statement(run: Evidence, line: LineTime) -> str:
    first, last = run.source.statement(line.site)
    return " ".join(run.source.lines(line.file)[first - 1 : last]).partition("#")[0]


def _by_library(run: Evidence, line: LineTime) -> bool:
    return line.package in PACKAGES or _LIBRARY.search(_statement(run, line)) is not None


def _measures(run: Evidence, line: LineTime) -> bool:
    """Whether a line computes figures: by the library below it, its name, or a loop over parameters that it is in."""
    text = _statement(run, line)
    if _by_library(run, line) or _METRIC.search(f"{text} {line.function}"):
        return True
    around = run.source.loop_around(line.file, line.line)
    head = run.source.line(line.file, around[0]) if around else ""
    return bool(_STATISTIC.search(text) and (_OVER_PARAMETERS.search(head) or _OVER_PARAMETERS.search(text)))


def _is_trained_with(run: Evidence, turn: Turn, line: LineTime) -> bool:
    helper = turn.called and changes_tensors(run.source, line.file, line.line)
    return helper or not only_observes(run.source, turn)


def _logs(run: Evidence, line: LineTime, logged: list[Site]) -> bool:
    first, last = run.source.statement(line.site)
    return any(site.file == line.file and first <= site.line <= last for site in logged)


def _places(groups: dict[Site, dict[LineTime, None]], seconds: dict[Site, float]) -> list[Where]:
    """The calls first, which the edit is about, then the lines below them where the time goes."""
    calls = shares({site: sum(line.seconds for line in members) for site, members in groups.items()})
    named = {(where.file, where.line) for where in calls}
    return [*calls, *(where for where in shares(seconds) if (where.file, where.line) not in named)]


def _diagnose(
    run: Evidence, groups: dict[Site, dict[LineTime, None]], found: list[LineTime], spent: float
) -> Diagnosis:
    loop_s = run.partition.loop_s
    seconds: dict[Site, float] = defaultdict(float)
    for line in found:
        seconds[line.site] += line.seconds
    top = max(found, key=lambda line: line.seconds)
    calls = sorted(groups, key=lambda site: -sum(line.seconds for line in groups[site]))
    sites: list[Site | None] = [*calls]
    libraries = sorted({line.package for line in found if line.package in PACKAGES})
    return Diagnosis(
        summary=(
            f"Figures that training does without take {spent / run.steps.count * 1000:.1f} ms of each step, "
            f"{spent / loop_s:.0%} of loop time, most of it at {top.file.rsplit('/', 1)[-1]}:{top.line}"
            f"{f' ({top.callee})' if top.callee else ''}."
        ),
        where=_places(groups, seconds),
        fix=Fix(
            text=(
                f"Compute them every {EVERY} steps. For a figure of the whole epoch, collect detached tensors and "
                "compute it once at the end (torchmetrics)."
            ),
            diff=rarer(run.source, editable(run, sites), EVERY),
        ),
        changes=scale_lines(found, REMAINING, pause=True),
        covers=calls,
        evidence={
            "share of loop time": round(spent / loop_s, 4),
            "ms a step": round(spent / run.steps.count * 1000, 3),
            "samples": sum(line.samples for line in found),
            "libraries": ", ".join(libraries) or "none seen below the lines",
        },
    )

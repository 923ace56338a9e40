"""Messages are written at every step, and writing them takes a visible part of it.

What it is: print, logging, progress bars, TensorBoard or tracker calls, or plain writes to a file, in every step (or
every other one) of the training loop.

Why it is slow: formatting, encoding and flushing run on the training thread while nothing is trained. Printing tensors,
histograms of all parameters and flush=True cost milliseconds each.

How it is seen: spans around the logging calls, by the user's line; stack samples of the same statements, of lines that
write or flush to a file, and of lines that compute what is logged and nothing else: in the same helper, or with results
that only the log call reads. The fix is replayed: the same once in 50 steps.

Stays quiet when: logging takes less than 3 % of loop time, happens in fewer than half of the steps, stands under a
condition like step % 100 == 0, or belongs to an evaluation or to the turn of an epoch. Histograms and images are left
to tracker-media.

Fix: if step % 50 == 0: around the lines.

Sources: PyTorch Lightning (log_every_n_steps, 50 by default; issue 1986); XProf's DebugPrint rule (5 %).
"""

from __future__ import annotations

from collections import defaultdict

from slowprobe.diagnose.edit_site import edits_first
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.hot_lines import editable, scale_lines, shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._every_step import WRITES, every_step_log
from slowprobe.diagnose.turns import beside, rarer
from slowprobe.run.record import Site
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.03  # of loop time; below, logging costs less than steps differ from one another
MIN_COMPUTING = 10  # samples, where the finding rests on them; a share from fewer is off by a third or more
EVERY = 50  # Lightning's default interval
REMAINING = Factor(1 / 100, 1 / EVERY, 1 / 10)  # whoever follows the advice picks something between 10 and 100 steps

RULE = Rule(
    title="Logging in every step",
    bottleneck="logging",
    needs=("steps", "logs", "backwards", "lines", "partition", "source", "settings"),
    closer_than=("python-bound", "python-param-loops", "tiny-op-loop", "external-wait"),
)


def check(run: Evidence) -> Answer:
    """Add up what is logged or written at each step."""
    log = every_step_log(run)
    frequent = log.calls
    if not run.logs and not log.written:
        return NotApplicable("nothing is printed, logged or written in the loop")
    seconds: dict[Site, float] = defaultdict(float)
    for facts in frequent:
        seconds[facts.where or Site("", 0, "")] += facts.scopes["step"]
    for line in log.lines:
        seconds[_site_of(run, line, frequent)] += line.seconds
    spent, loop_s = sum(seconds.values()), run.partition.loop_s
    if spent < MIN_SHARE * loop_s:
        return Passed(f"logging in the steps takes {spent / loop_s:.1%} of loop time")
    computing_s, samples = sum(line.seconds for line in log.computed), sum(line.samples for line in log.computed)
    if spent - computing_s < MIN_SHARE * loop_s and samples < MIN_COMPUTING:
        return NotChecked(f"{spent / loop_s:.0%} of loop time, but by {samples} stack samples only: too few to tell")
    where = shares(seconds)
    calls = sum(facts.calls for facts in frequent) / run.steps.count
    count = f"{calls:.0f} calls a step" if calls >= 1.5 else "a call a step" if calls else "writes to files in the step"
    return Diagnosis(
        summary=(
            f"Logging takes {spent / run.steps.count * 1000:.1f} ms of each step, {spent / loop_s:.0%} of loop time "
            f"({count})."
        ),
        where=edits_first(run.source, where, droppable=True),
        fix=Fix(
            text=f"Log every {EVERY} steps. Values that are only wanted in the log need not be computed in between.",
            diff=rarer(run.source, editable(run, _together(run, where, frequent)), EVERY),
        ),
        changes=[
            *(Scale("log", "step", facts.scopes["step"], REMAINING, pause=True) for facts in frequent),
            *scale_lines(log.lines, REMAINING, pause=True),
        ],
        covers=[line.site for line in log.lines],
        evidence={
            "log calls a step": round(calls, 2),
            "in log calls, ms a step": round(sum(f.scopes["step"] for f in frequent) / run.steps.count * 1000, 3),
            "around them and in plain writes, ms a step": _ms_a_step(run, log.written),
            "computing what is logged, ms a step": _ms_a_step(run, log.computed),
            "share of loop time": round(spent / loop_s, 4),
            "called through": ", ".join(sorted({facts.name for facts in frequent})) or "file writes",
        },
    )


def _ms_a_step(run: Evidence, lines: list[LineTime]) -> float:
    return round(sum(line.seconds for line in lines) / float(run.steps.count) * 1000, 3)


def _together(run: Evidence, where: list[Where], frequent: list[SpanFacts]) -> list[Site]:
    """The lines to edit: those of the finding; with a plain write also the flushes beside it, void without it."""
    sites = [Site(place.file, place.line, place.function) for place in where]
    first = sites[0] if sites else None
    if first is None or any(facts.where == first for facts in frequent):
        return sites
    lines = run.source.lines(first.file)
    beside_it = [
        Site(first.file, begin, first.function)
        for begin, end in beside(run.source, first)
        if any(word in text for text in lines[begin - 1 : end] for word in WRITES)
    ]
    simple = [site for site in beside_it if run.source.statement(site)[0] == site.line]
    return [*sites, *simple]


def _site_of(run: Evidence, line: LineTime, frequent: list[SpanFacts]) -> Site:
    """The log call whose statement the line belongs to, else the line itself."""
    here = line.site
    first, last = run.source.statement(here)
    for facts in frequent:
        if facts.where is not None and facts.where.file == line.file and first <= facts.where.line <= last:
            return facts.where
    return here

"""The loop waits for something that is not training: a sleep, a subprocess, the network, a lock or a disk.

What it is: time.sleep, subprocess and network calls on the training thread inside the loop; and lines between the parts
of a step during which the thread is off the CPU.

Why it is slow: while the thread waits nothing is trained, and nothing of it needs the training thread.

How it is seen: spans around sleeps, subprocesses and network calls, by the user's line; for the rest, stack samples of
lines whose thread used the CPU for less than a fifth of their time. The fix is replayed: the wait is gone.

Stays quiet when: it takes less than 2 % of loop time; inside a dataset (that is the cost of making a batch); on lines
that log, write or save, or work for that (other rules); and, for lines without a span, where there is a device or
another rank to wait for, or other processes kept all cores busy, so that the thread was off the CPU for want of one.

Fix: take the sleep out; start the subprocess without waiting for it; hand network calls to a thread.

Sources: TensorFlow profiler (All Others: I/O or Python).
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edit_site import edits_first
from slowprobe.diagnose.edits import diff, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import holds, in_trainer, may_wait_for_device, sampled_lines, scale_lines, shares
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.rules._spoken_for import spoken_for
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import GONE, Factor, Scale

MIN_SHARE = 0.02  # of loop time; twice the share below which no saving is reported
MIN_WAITING = 0.8  # of a line's time off the CPU; a line that computes gets there with five processes to a core
MIN_SAMPLES = 10  # a tenth of a second
EACH_STEP = 0.5  # calls; a rarer wait is followed by few steps
HANDED_OVER = Factor(0.0, 0.0, 0.5)  # the loop may still need the answer at some point
UNEXPLAINED = Factor(0.0, 0.2, 1.0)  # what is waited for is not known, so it may be needed where it is
OTHERS = (
    ".write(",
    ".flush(",
    "fsync(",
    "save(",
    "print(",
    "log.",
    "logger.",
    "logging.",
    ".dump(",
)  # logging and checkpoint rules
RANKS = ("dist.", "all_reduce", "all_gather", "broadcast(", "barrier(")
ENDING_WORKERS = "DataLoaderIter.__del__"  # a pass given up: see loader-recreated

RULE = Rule(
    title="The loop waits for something outside training",
    bottleneck="external",
    needs=(
        "steps",
        "sleeps",
        "externals",
        "saves",
        "logs",
        "backwards",
        "lines",
        "partition",
        "source",
        "settings",
        "neighbours",
    ),
)


def check(run: Evidence) -> Answer:
    """Find waits that are no part of training."""
    loop_s = run.partition.loop_s
    starved = run.neighbours is not None and run.neighbours.in_the_way  # off the CPU for want of a core
    others = spoken_for(run)
    found = [
        _of_spans(run, [facts for facts in run.sleeps if facts.loop_s > 0], GONE),
        _of_spans(run, [facts for facts in run.externals if facts.loop_s > 0], HANDED_OVER),
        None
        if starved
        else _of_lines(run, [line for line in sampled_lines(run) if line not in others and _waits(run, line)]),
    ]
    diagnoses = [diagnosis for diagnosis in found if diagnosis is not None]
    if diagnoses:
        return diagnoses
    waited = sum(facts.loop_s for facts in [*run.sleeps, *run.externals])
    return Passed(f"sleeps, subprocesses and network calls take {waited / loop_s:.1%} of loop time")


def _of_spans(run: Evidence, calls: list[SpanFacts], factor: Factor) -> Diagnosis | None:
    spent, loop_s = sum(facts.loop_s for facts in calls), run.partition.loop_s
    if not calls or spent < MIN_SHARE * loop_s:
        return None
    first = calls[0]
    number = sum(facts.calls for facts in calls)
    names = ", ".join(dict.fromkeys(facts.name for facts in calls))
    sleeping = first.kind == "sleep"
    lines = shares({facts.where: facts.loop_s for facts in calls if facts.where is not None})
    return Diagnosis(
        title="The loop sleeps" if sleeping else f"The loop waits for {names}",
        summary=(
            f"{names} takes {spent / loop_s:.0%} of loop time: {number} calls of {spent / number * 1000:.1f} ms, "
            f"{number / run.steps.count:.2g} a step, in which nothing is trained."
        ),
        where=lines if sleeping else edits_first(run.source, lines),  # a sleep is taken out where it is
        fix=Fix(
            text=(
                "Take the sleep out of the loop; what it waits for can be awaited elsewhere."
                if sleeping
                else "Do not wait for it on the training thread: start it and go on, or hand it to a thread."
            ),
            diff=_without(run, first) if sleeping else _in_background(run, first),
        ),
        changes=[change for facts in calls for change in _scales(facts, factor, run.steps.count)],
        evidence={
            "calls": number,
            "one call, ms": round(spent / number * 1000, 3),
            "longest, ms": round(max(facts.longest_s for facts in calls) * 1000, 3),
            "share of loop time": round(spent / loop_s, 4),
        },
    )


def _scales(facts: SpanFacts, factor: Factor, steps: int) -> list[Scale]:
    inside = {
        ("step", facts.kind): facts.scopes.get("step", 0.0),
        ("off_step", facts.kind): facts.scopes.get("off_step", 0.0) - facts.evaluation_s,
        ("off_step", "evaluation"): facts.evaluation_s,
    }
    pause = facts.calls >= EACH_STEP * steps
    return [Scale(bucket, scope, seconds, factor, pause) for (scope, bucket), seconds in inside.items() if seconds > 0]


def _waits(run: Evidence, line: LineTime) -> bool:
    if line.bucket != "python" or line.waiting < MIN_WAITING or line.samples < MIN_SAMPLES:
        return False
    if line.callee.endswith(ENDING_WORKERS):
        return False
    return not holds(run, line, (*OTHERS, *RANKS)) and not may_wait_for_device(run)


def _of_lines(run: Evidence, lines: list[LineTime]) -> Diagnosis | None:
    spent, loop_s = sum(line.seconds for line in lines), run.partition.loop_s
    if not lines or spent < MIN_SHARE * loop_s:
        return None
    first = lines[0]
    text = run.source.line(first.file, first.line)
    waiting = sum(line.waiting * line.seconds for line in lines) / spent
    return Diagnosis(
        title="Lines of the loop wait off the CPU",
        summary=(
            f"{spent / loop_s:.0%} of loop time passes on {len(lines)} line{'s' if len(lines) > 1 else ''} that "
            f"wait{'s' if len(lines) == 1 else ''} off the CPU for {waiting:.0%} of it"
            f"{f': {text}' if text else ''}."
        ),
        where=edits_first(run.source, shares({line.site: line.seconds for line in lines})),
        fix=Fix(text="Find out what the line waits for (a disk, a lock, a queue) and wait for it on another thread."),
        changes=scale_lines(lines, UNEXPLAINED, pause=True),
        basis="stated range",
        evidence={
            "off the CPU": round(waiting, 3),
            "library function below": first.callee or "none",
            "share of loop time": round(spent / loop_s, 4),
        },
    )


def _without(run: Evidence, facts: SpanFacts) -> str:
    lines = [] if in_trainer(run, facts.where) else statement_lines(run.source, facts.where)
    return diff(lines, []) if lines else ""


def _in_background(run: Evidence, facts: SpanFacts) -> str:
    """The call submitted to an executor, where it stands alone and its result is not used."""
    lines = [] if in_trainer(run, facts.where) else statement_lines(run.source, facts.where)
    text = "\n".join(lines)
    try:
        statement = ast.parse(text).body[0]
    except (SyntaxError, ValueError, IndexError):
        return ""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return ""
    call = statement.value
    arguments = [*map(ast.unparse, call.args), *(ast.unparse(keyword) for keyword in call.keywords)]
    submitted = ", ".join([ast.unparse(call.func), *arguments])
    added = [f"background.submit({submitted})"]
    made = "background = concurrent.futures.ThreadPoolExecutor(max_workers=1)  # once, before the loop"
    return diff(lines, [made, *added])

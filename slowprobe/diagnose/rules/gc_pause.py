"""Python's garbage collector stops the training thread.

What it is: collections of the oldest generation walk every tracked object of the process, and a training script with a
large dataset in Python objects, a tokenizer or a big library has millions.

Why it is slow: the training thread stands still meanwhile; in a distributed job all ranks wait for the slowest.

How it is seen: the collector's own callbacks, each pause timed on the training thread.

Stays quiet when: pauses take less than 1 % of loop time; those while torch.compile is at work are not counted, nor
those that a hand-over of Python objects from workers sets off (worker-ipc).
Reference counting frees tensors; the collector only finds cycles, and most training loops make none.

Called by hand: `gc.collect()` in the loop is a full collection each time. Its line is seen by the stack samples that
fall inside collections; its pauses are gone with it, and automatic collections go on as they are.

Fix: take `gc.collect()` out of the loop. For automatic collections: freeze what exists once everything is built, switch
automatic collection off, and collect at the end of each epoch.

Sources: torchtitan#148 (1.5 % an iteration at 512 GPUs); Megatron-Energon#40 (gc.freeze).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slowprobe.diagnose.edits import diff, place, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.hot_lines import holds, sampled_lines, shares
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.rules.worker_ipc import hands_objects_over
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import GONE, Factor, Scale
from slowprobe.timeline.recording import KIND

MIN_SHARE = 0.01  # of loop time
MOST = 0.5  # of the pauses: a cause of more than this is named first
BY_HAND = ("gc.collect(",)
LEFT = Factor(0.0, 0.05, 0.3)  # a collection an epoch remains, over what has been made since the freeze

RULE = Rule(
    title="Garbage collection stops the training thread",
    bottleneck="host",
    needs=(
        "steps",
        "partition",
        "loaders",
        "forwards",
        "recording",
        "labels",
        "collecting",
        "lines",
        "source",
    ),
)


def check(run: Evidence) -> Answer:
    """Add up the pauses inside the loop."""
    loop_s = run.partition.loop_s
    compiling = _while_compiling(run)
    handed = [run.collecting.get(loader.id, {}) for loader in run.loaders if hands_objects_over(loader)]
    paused = {
        scope: max(
            0.0,
            run.partition.bucket_s("gc", scope)
            - compiling.get(scope, 0.0)
            - sum(each.get(scope, 0.0) for each in handed),
        )
        for scope in ("step", "off_step")
    }
    total = sum(paused.values())
    longest, counted = _in_loop(run)
    if total < MIN_SHARE * loop_s:
        handing = sum(sum(each.values()) for each in handed) / loop_s
        beside = f", beside {handing:.0%} that handing batches over sets off" if handing >= MIN_SHARE else ""
        return Passed(
            f"collections take {total / loop_s:.2%} of loop time{beside}; the longest {longest * 1000:.1f} ms"
        )
    by_hand = _by_hand(run, paused)
    calls = sum(number for number, _ in counted.values())
    asked_s = sum(sum(each.values()) for each in by_hand.values())
    mostly = asked_s >= MOST * total
    where = shares({site: sum(each.values()) for site, each in by_hand.items()})
    return Diagnosis(
        title="gc.collect() stops the training thread" if mostly else "",
        summary=(
            f"{calls} collections stop the loop for {total:.2f} s, {total / loop_s:.1%} of its time; the longest takes "
            f"{longest * 1000:.0f} ms."
            + (f" The loop asks for {asked_s / total:.0%} of that itself: gc.collect()." if by_hand else "")
        ),
        where=where if mostly else [*_places(run), *where],
        fix=_fix(run, next(iter(by_hand), None) if mostly else None),
        changes=[
            change
            for scope, seconds in paused.items()
            for change in _changes(scope, seconds, sum(each.get(scope, 0.0) for each in by_hand.values()))
        ],
        evidence={
            "seconds": round(total, 4),
            "of them in gc.collect() of the loop's own": round(asked_s, 4),
            "share of loop time": round(total / loop_s, 5),
            "longest, ms": round(longest * 1000, 2),
            "by generation": {
                "columns": ["generation", "collections", "seconds"],
                "rows": [[name, number, round(seconds, 4)] for name, (number, seconds) in sorted(counted.items())],
            },
        },
    )


def _by_hand(run: Evidence, paused: dict[str, float]) -> dict[Site, dict[str, float]]:
    """Seconds by scope of the user's lines that call the collector, most first."""
    found: dict[Site, dict[str, float]] = {}
    for line in sampled_lines(run):
        if line.bucket == "gc" and line.scope in paused and holds(run, line, BY_HAND):
            found.setdefault(line.site, {})[line.scope] = min(line.seconds, paused[line.scope])
    return found


def _changes(scope: str, paused_s: float, by_hand_s: float) -> list[Scale]:
    parts = ((min(by_hand_s, paused_s), GONE), (max(0.0, paused_s - by_hand_s), LEFT))
    return [Scale("gc", scope, seconds, factor) for seconds, factor in parts if seconds > 0]


def _places(run: Evidence) -> list[Where]:
    """Automatic collections come anywhere: the loop is named by its loader, or its first forward pass."""
    sites = [loader.where for loader in run.loaders if loader.primary] or [facts.where for facts in run.forwards[:1]]
    return place(*sites)


def _fix(run: Evidence, by_hand: Site | None) -> Fix:
    if by_hand is not None:
        return Fix(
            text=(
                "Take gc.collect() out of the loop: reference counting frees tensors, and what is in cycles is found "
                "by the automatic collections, which look at new objects first. Where memory does grow without it, "
                "call it once an epoch, after gc.freeze() before the loop."
            ),
            diff=diff(statement_lines(run.source, by_hand), []),
        )
    return Fix(
        text=(
            "Before the loop, freeze the objects that live on anyway and switch automatic collection off; collect once "
            "an epoch."
        ),
        diff=diff(
            [],
            [
                "gc.collect(); gc.freeze(); gc.disable()  # before the loop",
                "gc.collect()  # at the end of each epoch",
            ],
        ),
    )


def _in_loop(run: Evidence) -> tuple[float, dict[str, tuple[int, float]]]:
    """The longest collection inside the loop, and by generation their number and seconds; imports collect, too."""
    spans, labels = run.recording.spans, run.labels
    mine = [number for number, (_, bucket) in enumerate(labels.names) if bucket == "gc"]
    inside = np.isin(labels.span, mine) & ~_in_compilation(spans)
    counted: dict[str, tuple[int, float]] = {}
    for subject in np.unique(spans.subject[inside]).tolist():
        of_it = inside & (spans.kind == KIND["gc"]) & (spans.subject == subject)
        generation = str(run.recording.subject(subject).attrs.get("generation"))
        counted[generation] = (int(of_it.sum()), float(spans.duration[of_it].sum() / 1e9))
    return float(spans.duration[inside].max(initial=0) / 1e9), counted


def _in_compilation(spans: Any) -> Any:
    """Which spans began while torch.compile was at work."""
    own = spans.kind == KIND["compile"]
    ends = np.append(-1, np.maximum.accumulate(spans.end[own])) if own.any() else np.array([-1])
    return spans.start < ends[np.searchsorted(spans.start[own], spans.start, side="right")]


def _while_compiling(run: Evidence) -> dict[str, float]:
    """Seconds of collections by scope that are compiling's: dynamo makes cycles by the thousand, training does not."""
    spans, labels = run.recording.spans, run.labels
    during = _in_compilation(spans)
    seconds: dict[str, float] = {}
    for number, (scope, bucket) in enumerate(labels.names):
        if bucket == "gc":
            mine = during & (labels.span == number) & (spans.kind == KIND["gc"])
            seconds[scope] = seconds.get(scope, 0.0) + float(spans.duration[mine].sum()) / 1e9
    return seconds

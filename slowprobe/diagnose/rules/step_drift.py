"""Steps get slower as the run goes on, because a line works on something that grows.

What it is: a list, tensor or graph that gets longer with every step and is gone through or copied in every step: the
mean over all losses so far, ``preds = torch.cat([preds, out])``, ``backward(retain_graph=True)`` through all steps.

Why it is slow: the cost of a step grows with the number of steps before it, that of the run with its square. What takes
a few percent in a short trial is most of a long training.

How it is seen: a straight line through the step time over the run (Theil-Sen on the medians of 20 parts of it), whole
and by part; stack samples of the first and of the last third say which of the user's lines grows, and the source which
name on that line is made longer at each turn and never shorter. The fix is replayed: the part as it was at the start.
A line that grows from nothing, over something that was made empty, works on nothing else: all of its time goes.

Stays quiet when: the last step takes less than 10 % longer than the first; the rise is a jump and no trend; all parts
get slower alike (the machine does: heat, other processes); nothing on the growing lines is seen to grow in the source,
as when batches get larger, or episodes longer.

Fix: keep a running value, or a window of fixed length; collect in a list and concatenate once; detach the state.

Sources: SageMaker Debugger and gpuprof drift checks; PyTorch FAQ (do not accumulate history across the training loop).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.growing_names import Growing, growing_at
from slowprobe.diagnose.hot_lines import sampled_lines
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.drift import MIN_STEPS, Drift, LineGrowth
from slowprobe.timeline.loop_changes import Change, Factor, Reload, Scale

MIN_GROWTH = 0.10  # of a step, first to last: blocks of steps on a quiet machine differ by a few percent
MIN_AGREEMENT = 0.6  # Kendall's tau of 20 blocks; a trend has 0.8 and more, one jump 0.5, none 0 (±0.16 by chance)
MIN_SAMPLES = 10  # of a line, early and late together
MIN_EXPLAINED = 0.5  # of what the parts grew by; below, what was found is not why
BUCKETS = ("python", "forward", "backward", "fetch", "log")
LEFT = Factor(0.0, 0.0, 0.5)  # of the growth; a window keeps some of it
FROM_NOTHING = 0.25  # early over late: a straight line from zero has a fifth between its first and its last third

RULE = Rule(
    title="Steps get slower as the run goes on",
    bottleneck="host",
    needs=("steps", "drift", "line_growth", "lines", "backwards", "source", "loaders"),
    closer_than=("python-bound", "cpu-metrics-in-step"),
)


def check(run: Evidence) -> Answer:
    """Find what grows in the parts of the step that get slower."""
    trend = run.drift
    if trend is None:
        return NotChecked(f"fewer than {MIN_STEPS} steady steps were recorded one by one")
    growth = trend.wall.grown_ms / trend.wall.start_ms if trend.wall.start_ms > 0 else 0.0
    if growth < MIN_GROWTH:
        return Passed(f"from the first to the last step, step time changes by {growth:+.1%}")
    if trend.agreement < MIN_AGREEMENT:
        return Passed(f"step time rises by {growth:.0%}, but not steadily")
    excess = {bucket: trend.excess_ms(bucket) for bucket in trend.parts}
    whole = sum(excess.values())
    if whole < MIN_GROWTH * trend.wall.start_ms:
        return Passed(f"all parts of a step get slower alike, by {trend.machine - 1:.0%}: the machine does")
    explained = _lines(run, trend, excess)
    total = sum(ms for _, _, ms in explained)
    if total < MIN_EXPLAINED * whole:
        largest = max(excess, key=lambda bucket: excess[bucket])
        more = f", {trend.forwards.end_ms / trend.forwards.start_ms:.2g} times the forward passes" if (
            trend.forwards.start_ms > 0 and trend.forwards.grown_ms > MIN_GROWTH * trend.forwards.start_ms
        ) else ""  # fmt: skip
        return Passed(
            f"steps get slower by {growth:.0%}, most in {largest}{more}; nothing in the source is seen to grow"
        )
    return _diagnose(run, trend, sorted(explained, key=lambda each: -each[2]), total)


def _lines(run: Evidence, trend: Drift, excess: dict[str, float]) -> list[tuple[LineGrowth, Growing | None, float]]:
    """The growing lines with what grows on them, and by how many ms a step; no name for a graph that is kept."""
    found: list[tuple[LineGrowth, Growing | None, float]] = []
    left = dict(excess)
    for line in run.line_growth:
        room = left.get(line.bucket, 0.0)
        if line.bucket not in BUCKETS or line.samples < MIN_SAMPLES or room <= 0:
            continue
        if line.bucket == "backward":
            text = run.source.line(line.stack[0].file, line.stack[0].line).replace(" ", "")
            growing = None
            if "retain_graph=True" not in text or excess["backward"] < MIN_EXPLAINED * sum(excess.values()):
                continue
        elif (growing := growing_at(run.source, line.stack)) is None:
            continue
        # Two thirds of a straight line's growth lie between the means of its first and its last third.
        grown = min(room, line.grown_ms * 1.5)
        if grown > 0:
            left[line.bucket] -= grown
            found.append((line, growing, grown))
    if any(line.bucket == "forward" for line, _, _ in found) and left.get("backward", 0.0) > 0:
        line, growing, grown = next(each for each in found if each[0].bucket == "forward")
        found.append((LineGrowth("backward", line.stack, 0.0, 0.0, line.samples), growing, left["backward"]))
    return found


def _diagnose(
    run: Evidence, trend: Drift, lines: list[tuple[LineGrowth, Growing | None, float]], total: float
) -> Diagnosis:
    top, growing, _ = lines[0]
    growth = trend.wall.grown_ms
    per_1000 = growth / max(run.steps.count, 1) * 1000
    sites: dict[Site, float] = {}
    for line, _, grown in lines:
        sites[line.stack[0]] = sites.get(line.stack[0], 0.0) + grown
    what = f"`{growing.name}` gets longer at each turn and" if growing else "The graph of earlier steps is kept and"
    return Diagnosis(
        title=f"Steps get slower: {growing.name} grows" if growing else "Steps get slower: the graph grows",
        summary=(
            f"From the first to the last of {run.steps.count:,} steps, a step grows from {trend.wall.start_ms:.1f} to "
            f"{trend.wall.end_ms:.1f} ms. {what} is gone through in each step: {per_1000:.2g} ms more for every 1,000 "
            "steps."
        ),
        where=[Where(site.file, site.line, site.function, round(ms / total, 3)) for site, ms in sites.items()],
        fix=_fix(run, top, growing),
        changes=_changes(run, lines),
        evidence={
            "first step, ms": round(trend.wall.start_ms, 3),
            "last step, ms": round(trend.wall.end_ms, 3),
            "more for every 1,000 steps, ms": round(per_1000, 3),
            "agreement with a steady rise (Kendall's tau)": round(trend.agreement, 2),
            "parts": {
                "columns": ["part", "first step, ms", "last step, ms"],
                "rows": [
                    [bucket, round(max(part.start_ms, 0.0), 3), round(part.end_ms, 3)]
                    for bucket, part in sorted(trend.parts.items(), key=lambda each: -each[1].grown_ms)
                    if part.end_ms >= 0.01 * trend.wall.end_ms
                ],
            },
        },
        covers=[growing.site] if growing else (),
    )


def _changes(run: Evidence, lines: list[tuple[LineGrowth, Growing | None, float]]) -> list[Change]:
    """The growth of each part is gone: on average over the run half of what it comes to at the end."""
    grown: dict[str, float] = {}
    for line, growing, ms in lines:
        mean_ms = max(ms / 2, _whole_ms(run, line) if growing is not None and growing.made is not None else 0.0)
        grown[line.bucket] = grown.get(line.bucket, 0.0) + mean_ms
    changes: list[Change] = []
    for bucket, ms in grown.items():
        if bucket != "fetch":
            changes.append(Scale(bucket, "step", ms * run.steps.count / 1000, LEFT))
            continue
        mean = run.steps.mean_ms("fetch")
        gone = min(1.0, ms / mean) if mean else 0.0
        changes += [Reload(loader.id, fetch=LEFT.of_part(gone)) for loader in run.loaders if loader.primary]
    return changes


def _whole_ms(run: Evidence, line: LineGrowth) -> float:
    """What a line that grows from nothing takes of a mean step; 0 for one that takes its time from the start."""
    if line.early_ms > FROM_NOTHING * line.late_ms:
        return 0.0
    same = [each for each in sampled_lines(run) if each.site == line.stack[0] and each.bucket == line.bucket]
    return float(sum(each.seconds for each in same if each.scope == "step") * 1000 / max(run.steps.count, 1))


def _fix(run: Evidence, line: LineGrowth, growing: Growing | None) -> Fix:
    if growing is None:
        return Fix(
            text=(
                "Do not keep the graph: drop retain_graph=True and detach what is carried from step to step (a hidden "
                "state, a sum of losses)."
            ),
            diff=diff(
                [text.strip() for text in statement_lines(run.source, line.stack[0])],
                ["state = state.detach()  # what the next step starts from", "loss.backward()"],
            ),
        )
    if growing.joined:
        return Fix(
            text=f"Collect the parts of {growing.name} in a list, and concatenate them once, where all are needed.",
            diff=diff(
                statement_lines(run.source, growing.site),
                ["parts.append(...)  # a list; concatenate it once, after the loop"],
            ),
        )
    made = statement_lines(run.source, growing.made)
    window = [f"{growing.name} = collections.deque(maxlen=1000)  # or a running sum and count"]
    return Fix(
        text=(
            f"Do not go through all of {growing.name} in each step: keep a running value (a sum and a count), or a "
            "window of fixed length."
        ),
        diff=diff(made, window) if made else "",
    )

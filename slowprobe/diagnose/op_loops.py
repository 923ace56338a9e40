"""Source lines that launch the same operators many times a step, grouped by the loop around them."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.hot_lines import sampled_lines, trainer_lines
from slowprobe.diagnose.turns import loop_that_calls, turn_of
from slowprobe.run.record import Site
from slowprobe.timeline.op_lines import SourceOps

MIN_SAMPLES = 30  # of a loop; from fewer, its share is known to a fifth at best, and operator times are better
MIN_SAMPLES_OF_ALL = 100  # in the steps; then a line without a sample takes less than 3 % of them
MIN_REPEATS = 20  # of one operator from one line within a step; layers of a model written out rarely reach it
MAX_EXCESS_MS = 0.004  # the profiler's cost of a launch and the operators inside it, with torch 2.13
_NOT_LAUNCHED_HERE = ("optimizer", "autograd")  # inside optimizer.step() and backward(); other rules look there
_COMPREHENSION = re.compile(r"\bfor\b.+\bin\b|\bmap\(")
_PARAMETERS = re.compile(r"param|\.grad\b|state_dict|buffers\(|weights|p_ema|ema_p|shadow", re.IGNORECASE)


@dataclass(frozen=True)
class OpLoop:
    """Lines of one loop. Times are those of an unprofiled step; `seconds` by bucket are over the run."""

    lines: list[SourceOps]
    """By time, most first."""
    shares: list[tuple[SourceOps, float]]
    header: int | None
    """Line of the loop's head."""
    launches: float
    repeats: float
    """How often the most repeated operator runs: the number of iterations, or a multiple."""
    share: float
    """Of a step."""
    left: float
    """Share of the loop's time that batching would leave: work on data, and one start for each distinct operator."""
    seconds: dict[str, float]
    microseconds: float
    """Per launch."""
    median_elements: int | None


def op_loops(run: Evidence) -> list[OpLoop]:
    """The user's loops, by time. Needs ops, lines, source, steps, backwards."""
    backward = [facts.where for facts in run.backwards if facts.where is not None]
    trainers = trainer_lines(run)
    groups: dict[tuple[str, int], list[SourceOps]] = defaultdict(list)
    called: dict[tuple[str, int], tuple[int, int]] = {}  # by loop: the function it calls, where the lines are
    for line in _repeating(run):
        if (line.file, line.line) in trainers:
            continue  # the loop is the trainer's; one of the user's around the line is over epochs or folds
        around = run.source.loop_around(line.file, line.line)
        if around and any(around[0] <= site.line <= around[1] for site in backward if site.file == line.file):
            around = None  # the training loop itself: what repeats is inside this one line
        elsewhere = loop_that_calls(run.source, line.file, line.line) if around is None else None
        if elsewhere is not None:
            around, called[line.file, elsewhere[0][0]] = elsewhere
        if around is None and not _COMPREHENSION.search(run.source.line(line.file, line.line)):
            continue  # a model with many layers, called once
        groups[line.file, around[0] if around else -line.line].append(line)
    slowed = _window_excess(run)
    nested = _outermost(run, groups, set(called))
    found = [_loop(run, key[1], members, slowed, called.get(key)) for key, members in nested.items()]
    return sorted(found, key=lambda loop: -loop.share)


def _outermost(
    run: Evidence, groups: dict[tuple[str, int], list[SourceOps]], called: set[tuple[str, int]]
) -> dict[tuple[str, int], list[SourceOps]]:
    """The groups with loops inside one another taken together: the outer one's time has the inner one's in it."""
    spans = {
        key: around
        for key in groups
        if key[1] > 0 and key not in called and (around := run.source.loop_around(*key)) is not None
    }
    merged: dict[tuple[str, int], list[SourceOps]] = defaultdict(list)
    for key, lines in groups.items():
        outer = [
            other
            for other, (first, last) in spans.items()
            if key in spans and other[0] == key[0] and first <= key[1] <= last
        ]
        merged[min(outer, key=lambda other: other[1]) if outer else key] += lines
    return merged


def in_libraries(run: Evidence) -> str:
    """Where operators repeat without a loop of the user's: the line with most of their time, and whose loop it is.

    Empty where there is none. Such a loop is for its library's authors to mend.
    """
    loops = {(line.file, line.line) for loop in op_loops(run) for line in loop.lines}
    others = [line for line in _repeating(run) if (line.file, line.line) not in loops]
    if not others:
        return ""
    line = max(others, key=lambda line: line.total_ms)
    sampled = [each for each in sampled_lines(run) if (each.file, each.line) == (line.file, line.line) and each.package]
    package = max(sampled, key=lambda each: each.seconds).package if sampled else "a library"
    most = line.most_repeated
    assert most is not None
    place = f"{line.file.rsplit('/', 1)[-1]}:{line.line}"
    return f"{most.name} runs {most.count:.0f} times a step inside {package}, which {place} calls: no loop of yours"


def _repeating(run: Evidence) -> list[SourceOps]:
    """Lines that launch one operator many times a step; not those under ``if step % 100 == 0``.

    Of such a line the few recorded steps say nothing: they hold it by chance, or not.
    """
    return [
        line
        for line in run.ops.lines
        if (most := line.most_repeated) is not None
        and most.count >= MIN_REPEATS
        and most.op_class not in _NOT_LAUNCHED_HERE
        and not _is_rare(run, line)
    ]


def _is_rare(run: Evidence, line: SourceOps) -> bool:
    turn = turn_of(run.source, Site(line.file, line.line, ""))
    return turn is not None and turn.guard is not None


def is_over_parameters(loop: OpLoop, run: Evidence) -> bool:
    """Whether the loop's head (or the line itself) names parameters, and it repeats about once for each."""
    params = max((int(facts.attrs.get("params") or 0) for facts in run.optimizers), default=0)
    first = loop.lines[0]
    text = run.source.line(first.file, loop.header) if loop.header else run.source.line(first.file, first.line)
    enough = loop.repeats >= 0.5 * params if params else True
    return bool(_PARAMETERS.search(text)) and enough


def _window_excess(run: Evidence) -> tuple[float, float]:
    """What the profiler adds to one launch, in ms, and the factor from the rest of a profiled step to a usual one.

    A profiled step takes longer than others for two reasons: events are recorded, a few microseconds a launch and no
    more; and the machine may have been busier just then, which stretches work and starts alike.
    """
    launches = sum(line.launches + line.backward_launches for line in run.ops.lines)
    # The mean, as shares are of the whole loop: where steps vary, the median leaves a part of each out.
    waited = run.steps.mean_ms("data_wait") + run.steps.mean_ms("fetch") + run.steps.mean_ms("collate")
    plain = run.steps.mean_ms() - waited
    profiled = run.ops.step_ms * (1 - run.ops.shares.data)
    if not launches or not profiled:
        return 0.0, 1.0
    if (
        profiled <= plain
    ):  # steps of different lengths (episodes), or the others met a busy machine: all parts grow alike
        return 0.0, plain / profiled
    excess = min(MAX_EXCESS_MS, (profiled - plain) / launches)
    return excess, plain / (profiled - excess * launches)


def _loop(
    run: Evidence, head: int, lines: list[SourceOps], excess: tuple[float, float], called: tuple[int, int] | None
) -> OpLoop:
    excess_ms, usual = excess
    count = run.steps.count / 1000
    forward = backward = left = left_forward = 0.0
    times = {}
    for line in lines:
        launches = line.launches + line.backward_launches
        floor = min(line.batched_ms, line.total_ms)
        time_ms = max(floor, line.total_ms - excess_ms * launches) * usual
        floor *= usual
        behind = (line.backward_ms + line.backward_gap_ms) / line.total_ms if line.total_ms else 0.0
        times[line.file, line.line] = time_ms
        forward += time_ms * (1 - behind)
        backward += time_ms * behind
        left += floor
        left_forward += floor * (1 - behind)
    ranked = sorted(lines, key=lambda line: -times[line.file, line.line])
    sampled, samples = _sampled_s(run, ranked[0], head, called)
    if samples >= MIN_SAMPLES:  # the loop's head and its lines without operators cost, too; and no profiler slows them
        forward = max(sum(sampled.values()) / count, left_forward)
    else:
        most = min(1.0, _most_s(run, samples) / count / forward) if forward else 1.0
        forward, backward, left = forward * most, backward * most, left * most
        sampled = _placed(run, forward * count)
    total = forward + backward
    step_ms = run.steps.mean_ms()
    launches = sum(line.launches for line in lines)
    seconds = dict(sampled)
    seconds["backward"] = seconds.get("backward", 0.0) + backward * count
    shown = sum(times.values())
    return OpLoop(
        lines=ranked,
        shares=[(line, times[line.file, line.line] / shown if shown else 0.0) for line in ranked],
        header=head if head > 0 else None,
        launches=launches,
        repeats=max(line.most_repeated.count for line in lines if line.most_repeated),
        share=min(1.0, total / step_ms) if step_ms else 0.0,
        left=min(1.0, left / total) if total else 1.0,
        seconds=seconds,
        microseconds=total * 1000 / launches if launches else 0.0,
        median_elements=ranked[0].median_numel,
    )


def _placed(run: Evidence, seconds: float) -> dict[str, float]:
    """Where seconds of operators go that no sample places: what does not fit into forward is outside of it."""
    inside = min(seconds, run.steps.mean_ms("forward") * run.steps.count / 1000)
    return {"forward": inside, "python": seconds - inside}


def _sampled_s(
    run: Evidence, line: SourceOps, head: int, called: tuple[int, int] | None
) -> tuple[dict[str, float], int]:
    """Seconds of all lines of the loop, or of the function it calls, by bucket; and the number of samples."""
    around = called or run.source.loop_around(line.file, head) if head > 0 else None
    first, last = around or (line.line, line.line)
    seconds: dict[str, float] = defaultdict(float)
    samples = 0
    for sampled in sampled_lines(run):
        if sampled.file == line.file and first <= sampled.line <= last and sampled.scope == "step":
            seconds[sampled.bucket] += sampled.seconds
            samples += sampled.samples
    return dict(seconds), samples


def _most_s(run: Evidence, samples: int) -> float:
    """The most seconds that so few samples allow, by three standard deviations; no bound where there are hardly any.

    Of forward passes and Python, where a loop's own time is. The few recorded steps may hold what happens in one
    step of many (a rollout, an episode's end).
    """
    in_steps = [line for line in sampled_lines(run) if line.scope == "step" and line.bucket in ("forward", "python")]
    number = sum(line.samples for line in in_steps)
    if number < MIN_SAMPLES_OF_ALL:
        return math.inf
    return (samples + 3 * math.sqrt(samples) + 3) * sum(line.seconds for line in in_steps) / number

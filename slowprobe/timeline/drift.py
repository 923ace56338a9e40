"""Whether steps get slower as the run goes on, which part of them does, and on which of the user's lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import UserCode, label_contexts
from slowprobe.timeline.labels import Labels
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.recording import KIND, Frame, Ints, Recording
from slowprobe.timeline.step_stats import Floats, StepStats

BLOCKS = 20  # medians of so many parts of the run: each is free of outliers, and there are 190 slopes between them
MIN_STEPS = 3 * BLOCKS  # a median of fewer than three is no median
THIRD = 1 / 3  # of the run, where early and late samples are taken
FIXED_WORK = ("forward", "backward", "optimizer")  # what takes as long in every step, unless the step's work grows
MIN_PART = 0.03  # of a step; a smaller part's trend is noise


@dataclass(frozen=True)
class Trend:
    """A straight line through the run (Theil-Sen): its values at the first and at the last step, in ms."""

    start_ms: float
    end_ms: float

    @property
    def grown_ms(self) -> float:
        """How much more the last step takes than the first."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True)
class Drift:
    """The trend of the steady steps, whole and by part."""

    steps: int
    wall: Trend
    agreement: float
    """Kendall's rank correlation of step time and time, -1 to 1: whether it is a trend or one change."""
    parts: dict[str, Trend]
    forwards: Trend
    """Outermost forward passes a step (a number, not ms)."""

    @property
    def machine(self) -> float:
        """By how much everything got slower alike: the least growth among the parts whose work does not change."""
        whole = max(self.wall.start_ms, 1e-9)
        ratios = [
            trend.end_ms / trend.start_ms
            for bucket, trend in self.parts.items()
            if bucket in FIXED_WORK and trend.start_ms >= MIN_PART * whole
        ]
        return max(1.0, min(ratios)) if ratios else 1.0

    def excess_ms(self, bucket: str) -> float:
        """How much a part has grown beyond that."""
        trend = self.parts.get(bucket, Trend(0.0, 0.0))
        return max(0.0, trend.end_ms - self.machine * max(trend.start_ms, 0.0))


@dataclass(frozen=True)
class LineGrowth:
    """A user's line whose time a step differs between the first and the last third of the run."""

    bucket: str
    stack: tuple[Site, ...]
    """The user's lines on the stack most often found there, innermost first."""
    early_ms: float
    late_ms: float
    samples: int

    @property
    def grown_ms(self) -> float:
        """Late less early."""
        return self.late_ms - self.early_ms


def drift(recording: Recording, labels: Labels, stats: StepStats) -> Drift | None:
    """The trend over the steady steps; None where there are too few."""
    if stats.steady_count < MIN_STEPS:
        return None
    blocks = np.array_split(np.flatnonzero(stats.steady), BLOCKS)
    wall = _medians(stats.wall_ms, blocks)
    roots = labels.roots
    forward = labels.span_step[roots][recording.spans.kind[roots] == KIND["forward"]]
    forwards = np.bincount(forward[forward >= 0], minlength=len(stats.wall_ms)).astype(float)
    return Drift(
        steps=stats.steady_count,
        wall=_trend(wall),
        agreement=_agreement(wall),
        parts={bucket: _trend(_medians(values, blocks)) for bucket, values in stats.parts.items()},
        forwards=_trend(_medians(forwards, blocks)),
    )


def line_growth(recording: Recording, labels: Labels, split: Partition, stats: StepStats) -> list[LineGrowth]:
    """The user's lines inside steps by how much more of a step they take late in the run than early, most first."""
    begin, end = labels.loop_start_ns, labels.loop_end_ns
    label_of = label_contexts(recording, labels, split)
    is_user = UserCode(recording.run.manifest)
    ns: dict[tuple[str, Frame], list[int]] = defaultdict(lambda: [0, 0])
    counts: dict[tuple[str, Frame], int] = defaultdict(int)
    stacks: dict[tuple[str, Frame], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    totals = [0, 0]
    for row in recording.sampled.rows:
        place = ((row.start_ns + row.end_ns) / 2 - begin) / max(end - begin, 1)
        late = place > 1 - THIRD
        if not (late or 0 <= place < THIRD) or place > 1:
            continue
        scope, bucket = label_of(row)
        if scope != "step":
            continue
        totals[late] += row.wall_ns
        stack = recording.sampled.stack(row.stack)
        innermost = is_user.innermost(stack)
        if innermost is None:
            continue
        key = bucket, stack[innermost]
        ns[key][late] += row.wall_ns
        counts[key] += row.count
        stacks[key][row.stack] += row.wall_ns
    if not all(totals):
        return []
    places = (stats.start_s * 1e9 - begin) / max(end - begin, 1)
    ends = [places < THIRD, places > 1 - THIRD]
    step_ms = [
        float(stats.wall_ms[mask & stats.steady].mean()) if (mask & stats.steady).any() else 0.0 for mask in ends
    ]

    def sites(key: tuple[str, Frame]) -> tuple[Site, ...]:
        most = max(stacks[key], key=lambda number: stacks[key][number])
        mine = [frame for frame in reversed(recording.sampled.stack(most)) if is_user(frame.file)]
        return tuple(Site(frame.file, frame.line, frame.function) for frame in mine)

    found = []
    for key, (early_ns, late_ns) in ns.items():
        early_ms, late_ms = step_ms[0] * early_ns / totals[0], step_ms[1] * late_ns / totals[1]
        found.append(LineGrowth(key[0], sites(key), early_ms, late_ms, counts[key]))
    return sorted(found, key=lambda line: -line.grown_ms)


def _medians(values: Floats, blocks: Iterable[Ints]) -> Floats:
    return np.array([np.median(values[block]) for block in blocks])


def _pairs(values: Floats) -> tuple[Floats, Floats]:
    """Differences of place (0 to 1) and of value, over all pairs."""
    one, two = np.triu_indices(len(values), 1)
    place = (np.arange(len(values)) + 0.5) / len(values)
    return place[two] - place[one], values[two] - values[one]


def _trend(values: Floats) -> Trend:
    run, rise = _pairs(values)
    slope = float(np.median(rise / run))
    place = (np.arange(len(values)) + 0.5) / len(values)
    start = float(np.median(values - slope * place))
    return Trend(start, start + slope)


def _agreement(values: Floats) -> float:
    return float(np.mean(np.sign(_pairs(values)[1])))

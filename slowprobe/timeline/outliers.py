"""Steps that take far longer than the others, and what each of them spends that time on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.labels import Labels
from slowprobe.timeline.partition import LABELS
from slowprobe.timeline.step_stats import Floats, StepStats

MIN_STEPS = 50  # with fewer, a percentile of 99 is the largest
FAR = 2.0  # medians; an outlier takes at least twice as long as the usual step
SPREAD = 5.0  # and lies so many (scaled) median deviations above it: where steps differ by nature, few are outliers
MAIN_PART = 0.6  # of what a step takes more; with less in any one part, no part is why
MACHINE = "everything at once"
PASS = "first batch of a pass"


@dataclass(frozen=True)
class OutlierCause:
    """The outliers that spend their extra time on one thing. bucket: that of the partition; empty for the machine."""

    label: str
    bucket: str
    steps: int
    occasions: int
    """Of the steps, those that carry the time: a busy machine adds small ones of its own."""
    extra_s: float
    longest_ms: float


@dataclass(frozen=True)
class Outliers:
    """The outliers among the steady steps that were recorded one by one; extra_s is beyond the median step."""

    steps: int
    of_steps: int
    from_ms: float
    p99_over_p50: float
    extra_s: float
    causes: list[OutlierCause]
    """By time, most first."""


def find_outliers(stats: StepStats, labels: Labels) -> Outliers | None:
    """The outliers and their causes; None where there are too few steps."""
    steady = np.flatnonzero(stats.steady)
    if len(steady) < MIN_STEPS:
        return None
    wall = stats.wall_ms[steady]
    median = float(np.median(wall))
    deviation = 1.4826 * float(np.median(np.abs(wall - median)))
    from_ms = max(FAR * median, median + SPREAD * deviation)
    usual = {bucket: float(np.median(values[steady])) for bucket, values in stats.parts.items()}
    found: dict[tuple[str, str], list[float]] = {}
    for step in steady[wall > from_ms].tolist():
        more = {bucket: float(stats.parts[bucket][step]) - usual[bucket] for bucket in usual}
        bucket = _main(more, float(stats.wall_ms[step]) - median)
        waits = bucket in ("data_wait", "fetch") and bool(labels.steps.first_of_pass[step])
        label = PASS if waits else LABELS.get(bucket, bucket) if bucket else MACHINE
        found.setdefault((label, bucket), []).append(float(stats.wall_ms[step]))
    causes = [
        OutlierCause(
            label, bucket, len(ms), _occasions(np.array(ms) - median), (sum(ms) - median * len(ms)) / 1e3, max(ms)
        )
        for (label, bucket), ms in found.items()
    ]
    causes.sort(key=lambda cause: (-cause.extra_s, cause.label))
    return Outliers(
        steps=sum(cause.steps for cause in causes),
        of_steps=len(steady),
        from_ms=from_ms,
        p99_over_p50=float(np.percentile(wall, 99)) / median if median else 0.0,
        extra_s=sum(cause.extra_s for cause in causes),
        causes=causes,
    )


def _occasions(extra_ms: Floats) -> int:
    """How many are at least half of the mean, in which each counts by its length."""
    return int((extra_ms >= 0.5 * float((extra_ms**2).sum() / extra_ms.sum())).sum())


def _main(more: dict[str, float], whole: float) -> str:
    """The part that most of the extra time went into; empty where the whole machine was slow."""
    longest = max(more, key=lambda bucket: more[bucket])
    return longest if more[longest] >= MAIN_PART * whole else ""

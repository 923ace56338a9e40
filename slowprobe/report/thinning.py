"""Any number of recorded steps as few enough points for a smooth chart, without losing the slow ones."""

from __future__ import annotations

import math

import msgspec

from slowprobe.report.document import StepSeries

POINTS = 800  # about one for each pixel column of the chart


class Thinned(msgspec.Struct, frozen=True):
    """The series in equal runs of steps: means to stack, and the slowest step of each run."""

    group: int
    """Steps a point."""
    first: list[int]
    last: list[int]
    wall_ms: list[float]
    parts: dict[str, list[float]]
    slowest: list[int]
    slowest_ms: list[float]
    unsteady: list[tuple[int, int]]
    """First and last index of each stretch that is left out of the statistics."""


def thin(series: StepSeries, points: int = POINTS) -> Thinned:
    """`series` in at most `points` points."""
    count = len(series.index)
    group = max(1, math.ceil(count / points))
    starts = range(0, count, group)
    wall = [_finite(value) for value in series.wall_ms]
    slowest = [max(range(start, min(start + group, count)), key=wall.__getitem__) for start in starts]
    return Thinned(
        group=group,
        first=[series.index[start] for start in starts],
        last=[series.index[min(start + group, count) - 1] for start in starts],
        wall_ms=_means(wall, group),
        parts={name: _means([_finite(value) for value in column], group) for name, column in series.parts.items()},
        slowest=[series.index[place] for place in slowest],
        slowest_ms=[wall[place] for place in slowest],
        unsteady=_unsteady(series),
    )


def _means(column: list[float], group: int) -> list[float]:
    if group == 1:
        return column
    runs = [column[start : start + group] for start in range(0, len(column), group)]
    return [sum(run) / len(run) for run in runs]


def _unsteady(series: StepSeries) -> list[tuple[int, int]]:
    stretches: list[tuple[int, int]] = []
    inside = False
    for index, steady in zip(series.index, series.steady, strict=False):
        if not steady:
            stretches.append((stretches.pop()[0] if inside else index, index))
        inside = not steady
    return stretches


def _finite(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0

"""How the training process's memory grows while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from slowprobe.run.schema import Resources

MIN_READINGS = 5


@dataclass(frozen=True)
class MemoryGrowth:
    """A robust line through the readings of the loop."""

    bytes_per_s: float
    """The median of all slopes between two readings."""
    grown_bytes: float
    """Over the readings, by that slope."""
    first_bytes: int
    steady: bool
    """Grows as much in the second half as in the first: memory that fills up once levels off."""


def memory_growth(readings: Sequence[Resources], begin_s: float, end_s: float) -> MemoryGrowth | None:
    """From the readings between `begin_s` and `end_s`; None where there are too few."""
    inside = [(each.at_ns / 1e9, each.rss_bytes) for each in readings if begin_s <= each.at_ns / 1e9 <= end_s]
    if len(inside) < MIN_READINGS:
        return None
    middle_s = (inside[0][0] + inside[-1][0]) / 2  # readings are denser at the beginning of a run
    halves = ([each for each in inside if each[0] <= middle_s], [each for each in inside if each[0] >= middle_s])
    slope, early, late = (_slope(part) for part in (inside, *halves))
    grown = slope * (inside[-1][0] - inside[0][0])
    return MemoryGrowth(slope, grown, inside[0][1], slope > 0 and min(early, late) >= slope / 2)


def _slope(points: Sequence[tuple[float, int]]) -> float:
    pairs = [(a, b) for number, a in enumerate(points) for b in points[number + 1 :] if b[0] > a[0]]
    return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs) if pairs else 0.0

"""How often training touches memory that is new to the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from slowprobe.run.schema import Resources

PARTS = 8  # of the loop: the median part has neither the warm-up nor the profiler window
MIN_READINGS = 4


def page_faults(readings: Sequence[Resources], begin_s: float, end_s: float) -> dict[str, float] | None:
    """Pages a second between `begin_s` and `end_s`, by kind of span; None where they were not counted often enough.

    The sum is that of the median part of the loop (memory that is filled once, at its beginning, does not count), and
    is divided between kinds as their counts are over the whole.
    """
    inside = [each for each in readings if each.page_faults and begin_s <= each.at_ns / 1e9 <= end_s]
    if len(inside) < MIN_READINGS:
        return None
    stride = max(1, (len(inside) - 1) // PARTS)
    marks = inside[::stride]
    rates = [
        1e9 * (sum(after.page_faults.values()) - sum(before.page_faults.values())) / (after.at_ns - before.at_ns)
        for before, after in pairwise(marks)
        if after.at_ns > before.at_ns
    ]
    counted = Counter(marks[-1].page_faults)
    counted.subtract(marks[0].page_faults)
    total = sum(counted.values())
    if not rates or total <= 0:
        return {}
    return {kind: median(rates) * count / total for kind, count in counted.items() if count > 0}

"""Which recorded step is the typical one, and how many it takes to see the workers beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.labels import Labels
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.step_stats import StepStats

MOST_STEPS = 40  # more are lines on a screen
_WHOLE_BATCH = 1.2  # times the median one: from the middle of one to the middle of the next, a whole one is there
_Flags = npt.NDArray[np.bool_]


def typical_steps(labels: Labels, steps: StepStats, loaders: Sequence[LoaderFacts]) -> tuple[int, int] | None:
    """Places of the first and the last recorded step to show; None without a step.

    The typical step is the steady one whose wall time and parts are nearest to their medians. Steps after it, or before
    where those are disturbed, are shown with it until it is as long as a worker takes for a batch.
    """
    bounds = labels.steps
    if not len(bounds):
        return None
    whole = _whole(labels, loaders)
    usable = bounds.steady & whole if (bounds.steady & whole).any() else bounds.steady
    usable = usable if usable.any() else np.ones(len(bounds), dtype=bool)
    table = np.column_stack([steps.wall_ms, *(steps.parts[bucket] for bucket in sorted(steps.parts))])
    distance = np.abs(table - np.median(table[usable], axis=0)).sum(axis=1)
    first = last = int(np.flatnonzero(usable)[np.argmin(distance[usable])])
    least_ns = _batch_ns(loaders)
    while last - first + 1 < MOST_STEPS and bounds.end[last] - bounds.start[first] < least_ns:
        if last + 1 < len(bounds) and usable[last + 1]:
            last += 1
        elif first > 0 and usable[first - 1]:
            first -= 1
        else:
            break
    return first, last


def _batch_ns(loaders: Sequence[LoaderFacts]) -> float:
    """As long as a worker of the training loaders works on a batch."""
    made = [
        float(np.median(facts.making.end_s - facts.making.start_s))
        for facts in loaders
        if facts.primary and facts.num_workers and len(facts.making.start_s)
    ]
    return _WHOLE_BATCH * max(made, default=0.0) * 1e9


def _whole(labels: Labels, loaders: Sequence[LoaderFacts]) -> _Flags:
    """The steps of which every span was kept, and every batch that workers made meanwhile."""
    bounds = labels.steps
    cut = labels.gap_step[(labels.gap_ns < 0) & (labels.gap_step >= 0)]
    whole = np.bincount(cut, minlength=len(bounds)) == 0
    for facts in loaders:
        for number in np.unique(facts.making.worker).tolist():
            mine = facts.making.worker == number
            skipped = np.flatnonzero(np.diff(facts.making.number[mine]) > 1)
            if len(skipped):
                whole &= bounds.end / 1e9 <= facts.making.start_s[mine][skipped[0]]
    return np.asarray(whole, dtype=bool)

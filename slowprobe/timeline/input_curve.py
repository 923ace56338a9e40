"""Step time against num_workers for one loader: where it stands, where it should, and what limits it there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from slowprobe.timeline.loader_model import LoaderModel, Plan
from slowprobe.timeline.pipeline import NO_HAND_OVER
from slowprobe.timeline.uncontended import CASES

Limit = Literal["step", "cores", "hand-over", "storage"]

WORTHWHILE = 1.02  # of two settings within 2 % take the one with fewer workers: each costs memory and start-up
HIDDEN = 0.9  # of the period is the step itself: what is left is within the error of a prediction
_UNLIMITED = 1e6  # cores
WORKER_BYTES = 120_000_000  # what a forked worker of a small torch script does not share with its parent
MEMORY_SHARE = 0.5  # of what is free: batches in the queue and what the dataset keeps need the rest
MOST = 32  # beyond some 20 workers what they share (memory bandwidth, the queue) cancels the gain
_GRID = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32)


@dataclass(frozen=True)
class InputPoint:
    """One setting: predicted seconds from one request for a batch to the next, low ≤ expected ≤ high.

    What a pass needs to start and stop its workers is spread over its batches.
    """

    num_workers: int
    low_s: float
    expected_s: float
    high_s: float


@dataclass(frozen=True)
class InputCurve:
    """Predicted step time against num_workers, workers kept between passes, the loader's other settings as recorded.

    points: ascending in num_workers, from 0; they include `present` and `recommended`. recommended: the smallest within
    2 % of the best. limit: what keeps the step from being shorter still at the best setting: `step` (the step itself is
    the slower side: the input is hidden), `cores` (all are at work), `hand-over` (getting a batch from another
    process), `storage` (the batches wait for something that is not a core, and more workers were not tried).
    """

    loader: int
    points: list[InputPoint]
    present: int
    recommended: int
    limit: Limit
    now_s: float
    """The period as recorded: where workers are started at each pass, that is not the point at `present`."""

    def at(self, num_workers: int) -> InputPoint:
        """The point of one of the settings in `points`."""
        return next(point for point in self.points if point.num_workers == num_workers)

    @property
    def speedup(self) -> float:
        """Step time now over that at the recommended setting, at least 1."""
        after = self.at(self.recommended).expected_s
        return max(1.0, self.now_s / after) if after > 0 else 1.0


def input_curve(model: LoaderModel, most: int) -> InputCurve:
    """The curve of a loader for settings up to `most` workers."""
    present = model.loader.num_workers
    points = [_point(model, count) for count in sorted({count for count in _GRID if count <= most} | {0, present})]
    best = min(points, key=lambda point: point.expected_s)
    enough = min(point.num_workers for point in points if point.expected_s <= best.expected_s * WORTHWHILE)
    limit = _limit(model, best.num_workers, best.expected_s)
    return InputCurve(model.loader.id, points, present, enough, limit, model.period_s(model.recorded))


def most_workers(model: LoaderModel, available_bytes: int | None) -> int:
    """How many workers are worth trying: what the step can eat up, twice the cores, what memory allows."""
    alone = model.alone("expected")
    cpu, idle, step = (float(each.mean()) for each in (alone.cpu, alone.idle, alone.consume))
    hidden = math.ceil(1.25 * (cpu + idle) / step) + 1 if step > 0 else MOST
    useful = min(max(hidden, 2), math.ceil(2 * alone.cores.available * (1 + idle / max(cpu, 1e-6))))
    fits = MOST if available_bytes is None else int(available_bytes * MEMORY_SHARE / WORKER_BYTES)
    return max(1, min(useful, fits, MOST))


def _plan(model: LoaderModel, num_workers: int) -> Plan:
    recorded = model.recorded
    return replace(recorded, settings=replace(recorded.settings, num_workers=num_workers), persistent_workers=True)


def _point(model: LoaderModel, num_workers: int) -> InputPoint:
    plan = _plan(model, num_workers)
    seconds = {case: model.period_s(plan, case=case) for case in CASES}
    return InputPoint(num_workers, min(seconds.values()), seconds["expected"], max(seconds.values()))


def _limit(model: LoaderModel, num_workers: int, seconds: float) -> Limit:
    """What the step would gain most from, at this setting: more cores, or batches that arrive for nothing."""
    plan = _plan(model, max(num_workers, 1))  # without workers: why one does not help
    seconds = model.period_s(plan) if num_workers == 0 else seconds
    alone = model.alone("expected")
    step = float(alone.consume.mean())
    if step >= HIDDEN * seconds:
        return "step"
    gains: dict[Limit, float] = {
        "cores": seconds - model.period_s(plan, cores=_UNLIMITED),
        "hand-over": seconds - model.period_s(plan, hand_over=NO_HAND_OVER),
    }
    reason = max(gains, key=lambda each: gains[each])
    if gains[reason] > (WORTHWHILE - 1) * seconds:
        return reason
    supply = float((alone.cpu + alone.idle).mean()) / plan.settings.num_workers
    return "step" if supply <= step else "storage"

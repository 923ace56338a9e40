"""Step time against num_workers for one loader: where it stands, where it should, and what limits it there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.replay import Reload, Replay

Limit = Literal["step", "cores", "hand-over", "storage"]

WORTHWHILE = 1.02  # of two settings within 2 % take the one with fewer workers: each costs memory and start-up
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
    """Predicted step time against num_workers, the loader's other settings as recorded (workers kept between passes).

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

    def at(self, num_workers: int) -> InputPoint:
        """The point of one of the settings in `points`."""
        return next(point for point in self.points if point.num_workers == num_workers)

    @property
    def speedup(self) -> float:
        """Step time at the present setting over that at the recommended one, at least 1."""
        after = self.at(self.recommended).expected_s
        return max(1.0, self.at(self.present).expected_s / after) if after > 0 else 1.0


def input_curve(replay: Replay, loader: LoaderFacts, most: int) -> InputCurve | None:
    """The curve of a loader up to about `most` workers; None where its batches were not seen being made."""
    if loader.make_s is None or not len(loader.wait) or loader.watched:
        return None
    present = loader.num_workers
    tried = sorted({count for count in _GRID if count <= most} | {0, present})
    points = []
    for count in tried:
        outlook = replay.outlook([Reload(loader.id, count, True)] if count != present else [])
        rest = replay.loop_s - loader.wait_s - sum(c for c in loader.consume if not math.isnan(c))
        low, expected, high = (
            max(0.0, s - rest) / loader.batches for s in (outlook.best_s, outlook.expected_s, outlook.worst_s)
        )
        points.append(InputPoint(count, low, expected, high))
    best = min(point.expected_s for point in points)
    recommended = min(point.num_workers for point in points if point.expected_s <= best * WORTHWHILE)
    return InputCurve(loader.id, points, present, recommended, "cores" if loader.cpu_share > 0.5 else "step")

"""Statistics of the steps: wall time and its parts, one row a recorded step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.labels import Label, Labels
from slowprobe.timeline.recording import Recording
from slowprobe.timeline.roles import WAIT, Roles

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepStats:
    """The training steps. `count` is exact; the arrays hold the steps that were recorded one by one, in ms.

    parts[bucket][i] is the time of step i in that bucket; the parts of a step add up to wall_ms[i]. Off-step work that
    happened within a step's bounds (an evaluation every 100 batches) is not in it.
    """

    unit: str
    count: int
    start_s: Floats
    wall_ms: Floats
    steady: npt.NDArray[np.bool_]
    parts: dict[str, Floats]
    batches_per_step: float

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def steady_count(self) -> int:
        """How many recorded steps are neither warm-up, compile nor window steps."""
        return int(self.steady.sum())

    def median_ms(self, bucket: str | None = None) -> float:
        """Median over the steady steps of the wall time, or of one bucket; 0.0 without steps."""
        return self._reduce(bucket, np.median)

    def mean_ms(self, bucket: str | None = None) -> float:
        """Mean over the steady steps; 0.0 without steps."""
        return self._reduce(bucket, np.mean)

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the steady steps' wall time; 0.0 without steps."""
        return self._reduce(None, lambda values: np.percentile(values, percent))

    def _reduce(self, bucket: str | None, function: object) -> float:
        values = self.wall_ms if bucket is None else self.parts.get(bucket, np.zeros_like(self.wall_ms))
        chosen = values[self.steady] if self.steady.any() else values
        return float(function(chosen)) if len(chosen) else 0.0  # type: ignore[operator]


def step_stats(
    recording: Recording, roles: Roles, labels: Labels, probes: dict[Label, float] | None = None
) -> StepStats:
    """Add up the labelled spans and gaps of each step. probes: seconds to take out again (`Partition.probes`)."""
    steps = labels.steps
    spans = recording.spans
    size = len(steps)
    scope_step = np.array([scope == "step" for scope, _ in labels.names] or [False])
    parts: dict[str, Floats] = {}

    def add(label: npt.NDArray[np.int64], step: npt.NDArray[np.int64], ns: npt.NDArray[np.int64]) -> None:
        chosen = (step >= 0) & scope_step[label] if len(label) else np.zeros(0, dtype=bool)
        for number in np.unique(label[chosen]).tolist():
            mine = chosen & (label == number)
            sums = np.bincount(step[mine], weights=ns[mine].astype(np.float64), minlength=size) / 1e6
            bucket = labels.names[number][1]
            parts[bucket] = parts.get(bucket, np.zeros(size)) + sums

    if size:
        add(labels.span, labels.span_step, spans.self_ns)
        add(labels.gap, labels.gap_step, np.maximum(labels.gap_ns, 0))
    bounds = sum(recording.totals[key].count for key in roles.boundaries if key in recording.totals)
    count = bounds - steps.dropped
    for (scope, bucket), seconds in (probes or {}).items():
        if scope == "step" and bucket in parts and count > 0:
            parts[bucket] = np.maximum(parts[bucket] - seconds * 1e3 / count, 0.0)
    wall = np.sum(list(parts.values()), axis=0) if parts else np.zeros(size)
    feeds = [key for key in roles.boundaries if key[0] == WAIT]
    if not feeds and roles.primary is not None:
        feeds = [(WAIT, roles.primary)]
    batches = sum(recording.totals[key].count for key in feeds) or count
    return StepStats(
        unit=roles.unit,
        count=count,
        start_s=steps.start / 1e9,
        wall_ms=np.asarray(wall, dtype=np.float64),
        steady=steps.steady,
        parts=parts,
        batches_per_step=batches / count if count else 0.0,
    )

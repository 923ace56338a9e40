"""What a step that shared its cores with loader workers takes alone: its operators were tried after the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slowprobe.run.schema import Window
from slowprobe.timeline.recording import KIND, Recording
from slowprobe.timeline.tried_edits import MIN_TRIED

_WAITS = (KIND["data_wait"], KIND["slowprobe"])


@dataclass(frozen=True)
class StepAlone:
    """Of the work between two batches. The rest, Python mostly, takes turns with the workers like any other thread."""

    share: float
    """In operators, as recorded."""
    operators_s: float
    """Those, alone, on the run's threads."""
    single: float
    """Times as long on one thread, alone."""


def step_alone(recording: Recording, costs: Mapping[str, float], batches_per_step: float) -> StepAlone | None:
    """None where operators were not tried alone, or too few of them."""
    now, single, tried, every = (costs.get(f"operators.alone.{name}_ms") for name in ("now", "edited", "tried", "all"))
    work_s = _annotated_work_s(recording)
    if not now or not single or not tried or not every or work_s <= 0 or tried < MIN_TRIED * every:
        return None
    share = min(1.0, every / 1e3 / work_s)
    return StepAlone(share, now / 1e3 * every / tried / max(batches_per_step, 1e-9), single / now)


def _annotated_work_s(recording: Recording) -> float:
    """The annotated step without its waits for batches."""
    for window in recording.run.of(Window):
        if window.role == "annotated":
            spans = recording.spans
            begin, end = spans.start.clip(min=window.start_ns), spans.end.clip(max=window.end_ns)
            waits = np.isin(spans.kind, _WAITS) & (end > begin)
            return (window.end_ns - window.start_ns - int((end - begin)[waits].sum())) / 1e9
    return 0.0

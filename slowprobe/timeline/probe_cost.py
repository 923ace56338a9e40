"""What the probes cost, taken out of the time in which it was spent."""

from __future__ import annotations

from slowprobe.run.schema import Calibration
from slowprobe.timeline.labels import PYTHON, Label
from slowprobe.timeline.recording import KIND, Key, Recording

OWN: Label = ("off_step", "slowprobe")
_AROUND = {KIND["fetch"]: "data_wait", KIND["collate"]: "fetch"}
"""Where a span of these kinds lies; the others lie between spans."""
_NOT_WRAPPED = (KIND["gc"], KIND["slowprobe"], KIND["compile"])


def costs(recording: Recording) -> dict[str, float]:
    """All calibration values of the run in one table."""
    return {name: value for record in recording.run.of(Calibration) for name, value in record.values.items()}


def take_out_probes(
    recording: Recording, by_key: dict[Key, dict[Label, float]], seconds: dict[Label, float]
) -> dict[Label, float]:
    """Move the cost of every span from the bucket around it to slowprobe's own; returns the seconds moved, by label.

    A wrapper works before its span begins and after it has ended, so its cost lies outside the span: number of spans
    times the cost of one, which capture measured on the same machine (`slowprobe.span_ns`).
    """
    each_s = costs(recording).get("slowprobe.span_ns", 0.0) / 1e9
    moved: dict[Label, float] = {}
    for key, total in recording.totals.items():
        own = by_key.get(key, {})
        whole = sum(own.values())
        if key[0] in _NOT_WRAPPED:
            continue
        for (scope, bucket), part_s in own.items():
            around: Label = (scope, _AROUND.get(key[0], PYTHON)) if scope == "step" else (scope, bucket)
            share = part_s / whole if whole > 0 else 1 / len(own)
            cost_s = min(total.count * each_s * share, seconds.get(around, 0.0))
            if cost_s > 0 and around != OWN:
                seconds[around] -= cost_s
                seconds[OWN] = seconds.get(OWN, 0.0) + cost_s
                moved[around] = moved.get(around, 0.0) + cost_s
    return moved

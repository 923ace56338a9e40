"""The partition of the wall clock as it is shown: ordered, grouped by scope, small parts summed up on request."""

from __future__ import annotations

import math

import msgspec

from slowprobe.report.document import Bucket, Document, Scope, Time

SCOPES: dict[Scope, str] = {
    "startup": "Start-up",
    "step": "Training steps",
    "off_step": "Between steps",
    "shutdown": "Shutdown",
}


class Part(msgspec.Struct, frozen=True):
    """One scope of the run with its buckets, largest first."""

    scope: str
    label: str
    seconds: float
    share: float
    buckets: list[Bucket]


def parts(time: Time) -> list[Part]:
    """The scopes in the order they happen; a scope without a bucket is left out."""
    found = []
    for scope, label in SCOPES.items():
        buckets = [bucket for bucket in time.buckets if bucket.scope == scope]
        buckets.sort(key=lambda bucket: (-_finite(bucket.seconds), bucket.id))
        if buckets:
            seconds = sum(_finite(bucket.seconds) for bucket in buckets)
            share = seconds / time.wall_s if time.wall_s > 0 else math.nan
            found.append(Part(scope=scope, label=label, seconds=seconds, share=share, buckets=buckets))
    return found


def loop_split(document: Document, top: int) -> list[Bucket]:
    """The buckets of the training loop, step and off-step together, largest first; beyond `top`, one sum."""
    seconds_by_id: dict[str, float] = {}
    labels: dict[str, str] = {}
    for bucket in document.time.buckets:
        own = bucket.id == "slowprobe"  # its windows are not the loop's time
        if bucket.scope in ("step", "off_step") and not own and _finite(bucket.seconds) > 0:
            seconds_by_id[bucket.id] = seconds_by_id.get(bucket.id, 0.0) + bucket.seconds
            labels.setdefault(bucket.id, bucket.label)
    ranked = sorted(seconds_by_id.items(), key=lambda item: -item[1])
    if len(ranked) > top:
        rest = sum(value for _, value in ranked[top - 1 :])
        count = len(ranked) - top + 1
        ranked = ranked[: top - 1]
        labels["other"] = f"{count} smaller parts"
        ranked.append(("other", rest))
    wall_s = document.time.wall_s or 1.0
    return [Bucket(id=id, label=labels[id], seconds=value, share=value / wall_s, scope="step") for id, value in ranked]


def labels(document: Document) -> dict[str, str]:
    """What each bucket id is called in this document."""
    return {bucket.id: bucket.label for bucket in reversed(document.time.buckets)}


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0

"""The part of a loader's row in the result document that says how its batches were made."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from slowprobe.report import document as doc
from slowprobe.timeline.worker_side import BatchMaking, TransformTime, WorkerFacts

MAX_TRANSFORMS = 40
MAX_WORKERS = 64  # of a loader that starts workers anew for each pass, the first ones


def making_fields(making: BatchMaking) -> dict[str, Any]:
    """Keyword arguments of `document.Loader`."""
    return {
        "transform_s": _rounded(making.transform_s),
        "io_wait_s": _rounded(making.io_wait_s),
        "hand_over_s": _rounded(making.hand_over_s),
        "head_of_line_s": _rounded(making.head_of_line_s),
        "batch_bytes": _rounded(making.batch_bytes),
        "payload_bytes": _rounded(making.payload_bytes),
        "opens_per_item": _rounded(making.opens_per_item),
        "imbalance": _rounded(making.imbalance),
        "transforms": [_transform(transform) for transform in making.transforms[:MAX_TRANSFORMS]],
        "workers": [_worker(worker) for worker in making.workers[:MAX_WORKERS]],
    }


def both_transforms(first: list[doc.Transform], second: list[doc.Transform]) -> list[doc.Transform]:
    """The transforms of two loaders that one line made alike; shares stay as those of the larger part."""
    merged = {(transform.name, transform.where): transform for transform in first}
    for transform in second:
        known = merged.get((transform.name, transform.where))
        if known is None:
            merged[transform.name, transform.where] = transform
            continue
        cpu = [value for value in (known.cpu_seconds, transform.cpu_seconds) if value is not None]
        merged[transform.name, transform.where] = msgspec.structs.replace(
            known,
            calls=known.calls + transform.calls,
            seconds=round(known.seconds + transform.seconds, 6),
            cpu_seconds=round(sum(cpu), 6) if cpu else None,
            share=known.share if known.seconds >= transform.seconds else transform.share,
        )
    return sorted(merged.values(), key=lambda transform: -transform.seconds)[:MAX_TRANSFORMS]


def _transform(transform: TransformTime) -> doc.Transform:
    where = transform.where
    return doc.Transform(
        name=transform.name,
        where=f"{where.file}:{where.line}" if where else "",
        calls=transform.calls,
        seconds=round(transform.wall_s, 6),
        cpu_seconds=_rounded(transform.cpu_s),
        share=round(transform.share, 6),
    )


def _worker(worker: WorkerFacts) -> doc.LoaderWorker:
    same = ("pid", "worker", "start", "batches", "rss_bytes", "pss_bytes", "uss_bytes", "rchar", "read_bytes", "opens")
    switches = ("voluntary_switches", "involuntary_switches")
    seconds = ("made_s", "busy_share", "spawn_s", "first_fetch_s", "cpu_s", "growth_bytes_s")
    fields: dict[str, Any] = {name: getattr(worker, name) for name in (*same, *switches)}
    fields |= {name: _rounded(getattr(worker, name)) for name in seconds}
    return doc.LoaderWorker(**fields)


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), 6)

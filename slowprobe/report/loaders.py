"""The loaders of a run as rows of the result document: one for all that one line made alike."""

from __future__ import annotations

from slowprobe.report import loader_document as doc
from slowprobe.report.making import MAX_WORKERS, both_transforms, making_fields
from slowprobe.report.pipeline import pipeline, waits
from slowprobe.timeline.input_curve import InputCurve
from slowprobe.timeline.loader_model import starts_s
from slowprobe.timeline.loaders import LoaderFacts

MAX_WITH_WAITS = 4  # training loaders whose waits are kept one by one
_SUMS = (
    "batches",
    "epochs",
    "wait_s",
    "startup_s",
    "fetch_s",
    "transform_s",
    "collate_s",
    "io_wait_s",
    "hand_over_s",
    "head_of_line_s",
)


def loader_rows(loaders: list[LoaderFacts], curves: dict[int, InputCurve]) -> list[doc.Loader]:
    """One row for all that one line made alike: an evaluation often makes its loader anew each time."""
    rows: dict[tuple[object, ...], doc.Loader] = {}
    alike: dict[tuple[object, ...], list[LoaderFacts]] = {}
    for facts in loaders:
        row = _loader(facts)
        key: tuple[object, ...] = (
            row.where or facts.id,
            row.role,
            row.name,
            row.num_workers,
            row.batch_size,
            row.persistent_workers,
        )
        alike.setdefault(key, []).append(facts)
        first = rows.setdefault(key, row)
        if first is not row:
            _add(first, row)
    for key, row in rows.items():
        curve = curves.get(row.id)
        row.pipeline = pipeline(alike[key], curve.limit if curve is not None else None)
        row.curve = worker_curve(curve) if curve is not None else None
    for row in [row for row in rows.values() if row.role == "training"][:MAX_WITH_WAITS]:
        row.waits = next(waits(alike[key]) for key in alike if rows[key] is row)
    return list(rows.values())


def worker_curve(curve: InputCurve) -> doc.WorkerCurve:
    """The curve as the document holds it."""
    return doc.WorkerCurve(
        present_num_workers=curve.present,
        present_ms=round(curve.now_s * 1e3, 4),
        recommended_num_workers=curve.recommended,
        limit=curve.limit,
        points=[
            doc.CurvePoint(
                num_workers=point.num_workers,
                low_ms=round(point.low_s * 1e3, 4),
                expected_ms=round(point.expected_s * 1e3, 4),
                high_ms=round(point.high_s * 1e3, 4),
            )
            for point in curve.points
        ],
    )


def _add(first: doc.Loader, row: doc.Loader) -> None:
    for name in _SUMS:
        values = [value for value in (getattr(first, name), getattr(row, name)) if value is not None]
        if values:
            setattr(first, name, round(sum(values), 6))
    first.workers = (first.workers + row.workers)[:MAX_WORKERS]
    first.transforms = both_transforms(first.transforms, row.transforms)


def _loader(facts: LoaderFacts) -> doc.Loader:
    return doc.Loader(
        id=facts.id,
        where=f"{facts.where.file}:{facts.where.line}" if facts.where else "",
        role=facts.role,
        name=facts.name,
        batches=facts.batches,
        num_workers=facts.num_workers,
        batch_size=facts.batch_size,
        prefetch_factor=facts.prefetch_factor if facts.num_workers else None,
        persistent_workers=facts.persistent_workers,
        epochs=facts.passes,
        wait_s=round(facts.wait_s, 6),
        startup_s=round(starts_s(facts) if facts.num_workers else facts.start_s, 6),
        fetch_s=_rounded(facts.fetch_s),
        collate_s=_rounded(facts.collate_s),
        watched=facts.watched,
        **making_fields(facts.making),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)

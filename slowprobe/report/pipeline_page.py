"""The input pipeline as the HTML page lays it out: which loaders, in which lanes their stages stand, and the tables."""

from __future__ import annotations

import math

import msgspec

from slowprobe.report.document import Document
from slowprobe.report.loader_document import Loader, LoaderWorker, PipelineStage
from slowprobe.report.pipeline_words import BUCKETS, HINTS, LABELS
from slowprobe.report.quantities import NOTHING, memory, milliseconds, seconds

MOST_OPEN = 3
MOST_FOLDED = 12


class Tile(msgspec.Struct, frozen=True):
    """One stage in the picture; `share` of its lane decides its width."""

    bucket: str
    label: str
    hint: str
    ms: float
    share: float
    busy_share: float
    pace: bool


class Lane(msgspec.Struct, frozen=True):
    """Who does the stages in it: the workers, the training process, or nobody that was seen."""

    title: str
    whose: str
    busy_share: float | None
    tiles: list[Tile]
    leads_to: str = ""
    """What comes out of it, at which rate."""
    unseen: str = ""


def open_loaders(document: Document) -> list[Loader]:
    """The training loaders; without one, the loader that was waited for longest."""
    training = [loader for loader in document.loaders if loader.role == "training"]
    if not training:
        training = sorted(document.loaders, key=lambda loader: -_finite(loader.wait_s))[:1]
    return training[:MOST_OPEN]


def folded_loaders(document: Document) -> list[Loader]:
    """The others, as many as anybody would open."""
    shown = {id(loader) for loader in open_loaders(document)}
    return [loader for loader in document.loaders if id(loader) not in shown][:MOST_FOLDED]


def lanes(loader: Loader) -> list[Lane]:
    """The picture, from storage to step."""
    pipeline = loader.pipeline
    if pipeline is None:
        return []
    workers = loader.num_workers
    many = "1 worker process" if workers == 1 else f"{workers} worker processes"
    own = Lane("Training process", "its", None, _tiles(loader, "training_process"))
    if pipeline.making_ms is None:
        title = many if workers else "The iterable" if loader.watched else "The loader"
        unseen = "Storage, fetch, transforms, collate: not known. Only the wait for what comes out was recorded."
        return [Lane(title, "", None, [], unseen=unseen, leads_to="batches"), own]
    if not workers:
        return [msgspec.structs.replace(own, title="Training process: one after the other, no workers")]
    rate = f"a batch every {milliseconds(pipeline.making_ms / workers)} at best"
    whose = "its" if workers == 1 else "their"
    return [Lane(many, whose, pipeline.workers_busy_share, _tiles(loader, "workers"), leads_to=rate), own]


def stage_rows(loader: Loader) -> list[tuple[PipelineStage, str, str]]:
    """The picture as a table: stage, its label, who does it."""
    by = {"workers": "workers", "training_process": "training process"}
    stages = loader.pipeline.stages if loader.pipeline is not None else []
    return [(stage, LABELS[stage.id], by[stage.by]) for stage in stages]


def _tiles(loader: Loader, by: str) -> list[Tile]:
    pipeline = loader.pipeline
    assert pipeline is not None
    stages = [stage for stage in pipeline.stages if stage.by == by]
    total = sum(_finite(stage.ms_per_batch) for stage in stages) or 1.0
    return [
        Tile(
            bucket=BUCKETS.get(stage.id, stage.id),
            label=LABELS[stage.id],
            hint=HINTS[stage.id],
            ms=stage.ms_per_batch,
            share=_finite(stage.ms_per_batch) / total,
            busy_share=stage.busy_share,
            pace=stage.id == pipeline.pace,
        )
        for stage in stages
    ]


def waits_in_figures(loader: Loader) -> list[tuple[str, str]]:
    """The wait chart's figures as label and value, for a page without charts."""
    waits = loader.waits
    if waits is None:
        return []
    first = set(waits.first_of_pass)
    usual = sorted(_finite(value) for place, value in enumerate(waits.wait_ms) if place not in first)
    opening = [_finite(waits.wait_ms[place]) for place in first if 0 <= place < len(waits.wait_ms)]
    rows = []
    if usual:
        rows = [
            ("median", milliseconds(usual[len(usual) // 2])),
            ("90th percentile", milliseconds(usual[int(0.9 * (len(usual) - 1))])),
            ("longest", milliseconds(usual[-1])),
        ]
    if opening:
        rows.append(("first of a pass, mean", milliseconds(sum(opening) / len(opening))))
    if loader.num_workers and _finite(loader.startup_s):
        rows.append(("starting workers, in all", seconds(loader.startup_s)))
    return rows


def worker_memory(worker: LoaderWorker) -> str:
    """What a worker holds: its proportional set size, or all that is resident."""
    held = worker.pss_bytes or worker.rss_bytes
    return memory(held) if held else NOTHING


def worker_growth(worker: LoaderWorker) -> str:
    """How fast a worker's memory grows, a minute."""
    if worker.growth_bytes_s is None or not math.isfinite(worker.growth_bytes_s):
        return NOTHING
    grown = worker.growth_bytes_s * 60
    return "0" if abs(grown) < 2**20 / 10 else memory(grown)


def _finite(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0

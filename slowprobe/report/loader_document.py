"""The part of the result document about loaders: how batches were made, handed over and waited for."""

from __future__ import annotations

from typing import Literal

import msgspec

StageId = Literal["start", "storage", "fetch", "transform", "collate", "hand_over", "loader", "wait", "step"]
Limit = Literal["step", "cores", "hand-over", "storage"]


class Transform(msgspec.Struct, kw_only=True):
    """Calls of one transform, all workers together; `seconds` without nested transforms, `share` of making batches."""

    name: str
    where: str
    calls: int
    seconds: float
    cpu_seconds: float | None
    share: float


class LoaderWorker(msgspec.Struct, kw_only=True):
    """One worker process; counters since its start, null where the machine does not tell."""

    pid: int
    worker: int
    start: int
    batches: int
    made_s: float
    busy_share: float | None
    spawn_s: float
    first_fetch_s: float | None
    cpu_s: float | None
    rss_bytes: int | None
    pss_bytes: int | None
    uss_bytes: int | None
    growth_bytes_s: float | None
    rchar: int | None
    read_bytes: int | None
    voluntary_switches: int | None
    involuntary_switches: int | None
    opens: int | None


class PipelineStage(msgspec.Struct, kw_only=True):
    """One stage of a batch's way, by id.

    start: of workers, spread over the batches. storage: off the CPU in the dataset. fetch: the dataset's own code.
    loader: what a request takes beyond making its batch. The others are what they are called.
    """

    id: StageId
    by: Literal["workers", "training_process"]
    ms_per_batch: float
    """Of one worker, or of the training process."""
    busy_share: float
    """Part of the time of those who do it that this stage takes: of all workers, or of the training process."""


class Pipeline(msgspec.Struct, kw_only=True):
    """A batch's way through a loader, stages in order; those of the training process add up to `period_ms`.

    `hand_over` runs on a thread of its own in the worker, beside making the next batch.
    """

    stages: list[PipelineStage]
    period_ms: float
    """From one request for a batch to the next, start of workers included."""
    making_ms: float | None
    """One batch in one process: storage, fetch, transform and collate; null where this was not seen."""
    workers_busy_share: float | None
    pace: StageId | None
    """The stage that sets the pace; null where it could not be told."""


class Waits(msgspec.Struct, kw_only=True):
    """The recorded waits for batches over time, one entry a batch; without those that a profiler window disturbed."""

    wait_ms: list[float]
    index: list[int]
    """Place among the recorded waits."""
    first_of_pass: list[int]
    """Positions in `wait_ms` of the first batch of each pass."""
    thinned: bool


class CurvePoint(msgspec.Struct, kw_only=True):
    """Predicted time from one batch to the next with so many workers: low ≤ expected ≤ high."""

    num_workers: int
    low_ms: float
    expected_ms: float
    high_ms: float


class WorkerCurve(msgspec.Struct, kw_only=True):
    """Predicted time a batch against num_workers, workers kept between passes.

    `present_ms`: as it is now, with workers started at each pass where they are. `limit`: what keeps the time from
    being shorter at the best setting.
    """

    present_num_workers: int
    present_ms: float
    recommended_num_workers: int
    limit: Limit
    points: list[CurvePoint]


class Loader(msgspec.Struct, kw_only=True):
    """One DataLoader (or watched iterable); *_s are totals over the run, fetch, transform, collate of all workers."""

    id: int
    where: str
    role: str
    name: str
    batches: int
    num_workers: int
    batch_size: int | None
    prefetch_factor: int | None
    persistent_workers: bool
    epochs: int
    wait_s: float
    startup_s: float
    fetch_s: float | None
    transform_s: float | None
    """In the transforms that its dataset holds."""
    collate_s: float | None
    io_wait_s: float | None = None
    """In the dataset, but off the CPU."""
    hand_over_s: float | None = None
    """Pickling batches in the workers, beside making the next ones."""
    head_of_line_s: float | None = None
    """Waiting for a batch while a later one was made already."""
    batch_bytes: float | None = None
    """Mean bytes of the tensors in a batch."""
    payload_bytes: float | None = None
    """Mean bytes of a pickled batch, without its tensors."""
    opens_per_item: float | None = None
    imbalance: float | None = None
    transforms: list[Transform] = []
    workers: list[LoaderWorker] = []
    watched: bool = False
    """A watched iterable: only the waits for its batches are known."""
    pipeline: Pipeline | None = None
    waits: Waits | None = None
    curve: WorkerCurve | None = None
    """Null where the loader's batches were not seen being made."""

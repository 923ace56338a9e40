"""What each loader did: settings, counts, waits, and what a batch costs to make."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slowprobe.run.loader_records import LoaderCpu
from slowprobe.run.record import Site
from slowprobe.run.worker_records import WorkerBatches
from slowprobe.timeline.recording import KIND, Recording
from slowprobe.timeline.roles import START, STOP, WAIT, Roles
from slowprobe.timeline.worker_facts import batch_making, workers_of
from slowprobe.timeline.worker_side import BatchMaking

FETCH, COLLATE = KIND["fetch"], KIND["collate"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LoaderFacts:
    """One loader. Times ending in _s are totals over the run, arrays are per batch in seconds.

    fetch and collate are None where they could not be seen (a watched iterable, workers that did not record).
    """

    id: int
    name: str
    where: Site | None
    role: str
    primary: bool
    batches: int
    passes: int
    """Iterators started."""
    num_workers: int
    batch_size: int | None
    prefetch_factor: int
    persistent_workers: bool
    start_method: str | None
    iterable: bool
    length: int | None
    watched: bool
    collate_name: str
    wait_s: float
    start_s: float
    """Starting iterators: DataLoader.__iter__."""
    fetch_s: float | None
    collate_s: float | None
    fetch: Floats
    collate: Floats
    cpu_share: float
    """CPU time over wall time while a batch is made."""
    wait: Floats
    """Recorded waits, in order; without those a profiler window disturbed."""
    first: npt.NDArray[np.bool_]
    """Which of them are the first of a pass."""
    consume: Floats
    """From a batch's arrival to the next request; NaN after the last batch of a pass."""
    making: BatchMaking = field(default_factory=BatchMaking)
    """How its batches were made: transforms, hand-over, workers, start-up, memory, I/O."""
    arrays: tuple[str, ...] = ()
    """Attributes of the dataset below its Subsets that are tensors or arrays; ``tensors`` of a TensorDataset."""
    subset_of: str = ""
    """The class of the dataset whose rows torch's Subset, or several, choose; empty without one."""
    samples: int | None = None
    """In a batch: batch_size, or that of the batch sampler it was given in its place."""

    @property
    def class_name(self) -> str:
        """DataLoader, or a subclass of it; as the user's line says it where a trainer has put its own in its place."""
        name = self.name.partition("(")[0]
        return "DataLoader" if name.startswith("DataLoader") else name

    @property
    def dataset_name(self) -> str:
        """The dataset's class; empty where unknown."""
        return self.name.partition("(")[2].removesuffix(")")

    @property
    def items_of(self) -> str:
        """The class whose ``__getitem__`` makes the items: the dataset's, or that of the one below its Subsets."""
        return self.subset_of or self.dataset_name

    @property
    def make_s(self) -> float | None:
        """Mean seconds to make one batch in one process; None when unseen."""
        if not len(self.fetch):
            return None
        return float(np.mean(self.fetch) + np.mean(self.collate))


def loader_facts(recording: Recording, workers: list[Recording], roles: Roles) -> list[LoaderFacts]:
    """The loaders that were asked for batches, by id."""
    return [_facts(recording, workers, roles, key[1]) for key in recording.keys("data_wait")]


def _facts(recording: Recording, workers: list[Recording], roles: Roles, number: int) -> LoaderFacts:
    subject = recording.subject(number)
    attrs = subject.attrs
    totals = recording.totals
    num_workers = int(attrs.get("num_workers") or 0)  # type: ignore[arg-type]
    wait, first, consume = _waits(recording, number)
    if num_workers:
        fetch, collate, cpu_share, fetch_s, collate_s = _from_workers(workers, number)
    else:
        fetch, collate, cpu_share = _from_spans(recording, number)
        fetch_s = totals[FETCH, number].self_ns / 1e9 if (FETCH, number) in totals else None
        collate_s = totals[COLLATE, number].self_ns / 1e9 if (COLLATE, number) in totals else None
    prefetch = attrs.get("prefetch_factor")
    batch_size = attrs.get("batch_size")
    given = attrs.get("sampler_batch_size")
    length = attrs.get("length")
    return LoaderFacts(
        id=number,
        name=subject.name,
        where=subject.site,
        role=roles.loaders.get(number, "other"),
        primary=number == roles.primary,
        batches=totals[WAIT, number].count,
        passes=totals[START, number].count if (START, number) in totals else 1,
        num_workers=num_workers,
        batch_size=int(batch_size) if isinstance(batch_size, int) else None,
        samples=next((size for size in (batch_size, given) if isinstance(size, int)), None),
        prefetch_factor=int(prefetch) if isinstance(prefetch, int) else 2,
        persistent_workers=bool(attrs.get("persistent_workers")),
        start_method=str(attrs["start_method"]) if attrs.get("start_method") else None,
        iterable=bool(attrs.get("iterable")),
        length=int(length) if isinstance(length, int) else None,
        watched=bool(attrs.get("watch")),
        collate_name=str(attrs.get("collate") or ""),
        wait_s=totals[WAIT, number].total_ns / 1e9,
        start_s=totals[START, number].total_ns / 1e9 if (START, number) in totals else 0.0,
        fetch_s=fetch_s,
        collate_s=collate_s,
        fetch=fetch,
        collate=collate,
        cpu_share=cpu_share,
        wait=wait,
        first=first,
        consume=consume,
        making=batch_making(
            recording, workers, number, None if fetch_s is None else fetch_s + (collate_s or 0.0), cpu_share
        ),
        arrays=tuple(str(attrs["arrays"]).split(",")) if attrs.get("arrays") else (),
        subset_of=str(attrs.get("subset_of") or ""),
    )


def _waits(recording: Recording, number: int) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    spans = recording.spans
    mine = (spans.kind == WAIT) & (spans.subject == number)
    start, end = spans.start[mine], spans.end[mine]
    restart = np.sort(spans.start[np.isin(spans.kind, (START, STOP)) & (spans.subject == number)])
    passes = np.searchsorted(restart, start)
    stretch = spans.stretch[mine]
    consume = np.full(len(start), np.nan)
    following = (np.diff(passes) == 0) & (np.diff(stretch) == 0) if len(start) else np.empty(0, dtype=bool)
    consume[:-1][following] = (start[1:] - end[:-1])[following] / 1e9
    first = np.concatenate([[True], np.diff(passes) != 0]) if len(start) else np.empty(0, dtype=bool)
    return (end - start) / 1e9, first, consume


def _from_spans(recording: Recording, number: int) -> tuple[Floats, Floats, float]:
    spans = recording.spans
    fetch = spans.self_ns[(spans.kind == FETCH) & (spans.subject == number)] / 1e9
    collate = spans.self_ns[(spans.kind == COLLATE) & (spans.subject == number)] / 1e9
    if len(collate) < len(fetch):
        collate = np.zeros_like(fetch)
    read = [record for record in recording.run.of(LoaderCpu) if record.loader == number]
    wall, cpu = sum(record.wait_ns for record in read), sum(record.wait_cpu_ns for record in read)
    if not wall:  # a short run; the samples tell it roughly
        keys = ((FETCH, number), (COLLATE, number))
        rows = [row for row in recording.sampled.rows if row.is_open and row.key in keys]
        wall, cpu = sum(row.wall_ns for row in rows), sum(row.cpu_ns for row in rows)
    return fetch, collate[: len(fetch)], min(1.0, cpu / wall) if wall else 1.0


def _from_workers(workers: list[Recording], number: int) -> tuple[Floats, Floats, float, float | None, float | None]:
    fetch: list[int] = []
    collate: list[int] = []
    fetch_s = collate_s = read = cpu = 0.0
    for _, worker in workers_of(workers, number):
        for part in worker.run.of(WorkerBatches):
            fetch += part.fetch
            collate += part.collate
            fetch_s += part.every * sum(part.fetch) / 1e9
            collate_s += part.every * sum(part.collate) / 1e9
            more = part.collate_cpu or [0] * len(part.fetch)
            for wall, fetch_cpu, collating, collate_cpu in zip(
                part.fetch, part.fetch_cpu, part.collate, more, strict=True
            ):
                if fetch_cpu >= 0:
                    read += part.every * (wall + collating)
                    cpu += part.every * (fetch_cpu + collate_cpu)
    if not fetch:
        return np.empty(0), np.empty(0), 1.0, None, None
    return np.array(fetch) / 1e9, np.array(collate) / 1e9, min(1.0, cpu / read) if read else 1.0, fetch_s, collate_s

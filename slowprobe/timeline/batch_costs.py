"""What each batch of a loader cost when it was recorded: wall time and CPU time, in the order of making."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.run.schema import WorkerBatches, WorkerHello
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.recording import Recording

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BatchCosts:
    """Seconds a batch: wall time in the dataset (fetch) and in collate, and CPU time of both together.

    A thread's CPU time does not grow when it waits for a core, wall time does.
    """

    fetch: Floats
    collate: Floats
    cpu: Floats


def batch_costs(workers: list[Recording], loader: LoaderFacts) -> BatchCosts:
    """From the workers' own records; without workers from the spans, CPU time by the loader's share."""
    rows = [row for worker in workers for row in _rows(worker, loader.id)]
    if not rows:
        return BatchCosts(loader.fetch, loader.collate, (loader.fetch + loader.collate) * loader.cpu_share)
    _, fetch, cpu, collate = np.array(sorted(rows), dtype=float).T / 1e9
    return BatchCosts(fetch, collate, np.minimum(cpu, fetch + collate))


def _rows(worker: Recording, loader: int) -> list[tuple[int, int, int, int]]:
    hello = worker.run.last(WorkerHello)
    if hello is None or hello.loader != loader:
        return []
    parts = worker.run.of(WorkerBatches)
    return [row for part in parts for row in zip(part.start, part.fetch, part.fetch_cpu, part.collate, strict=True)]

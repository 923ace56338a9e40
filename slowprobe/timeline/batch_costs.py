"""What each batch of a loader cost when it was recorded: wall time and CPU time, in the order of delivery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.recording import Ints
from slowprobe.timeline.worker_side import BatchMaking

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BatchCosts:
    """Seconds a batch: wall time in the dataset (fetch) and in collate, and CPU time of both together.

    A thread's CPU time does not grow when it waits for a core, wall time does.
    """

    fetch: Floats
    collate: Floats
    cpu: Floats


def batch_costs(loader: LoaderFacts) -> BatchCosts:
    """What workers recorded of each batch; where they read no CPU clock, by the mean share."""
    making, made = loader.making, loader.fetch + loader.collate
    if len(making.fetch_cpu) != len(loader.fetch) or making.fetch_cpu_share is None:
        return BatchCosts(loader.fetch, loader.collate, made * loader.cpu_share)
    fetch_cpu = np.where(np.isnan(making.fetch_cpu), loader.fetch * making.fetch_cpu_share, making.fetch_cpu)
    collate_share = 1.0 if making.collate_cpu_share is None else making.collate_cpu_share
    cpu = np.minimum(fetch_cpu + loader.collate * collate_share, made)
    order = _as_asked_for(making)
    return BatchCosts(loader.fetch[order], loader.collate[order], cpu[order])


def _as_asked_for(making: BatchMaking) -> Ints:
    """The order in which the loop gets batches; that of beginning them, in which they stand, where it is not known."""
    passes = pass_of_batches(making)
    return np.arange(len(making.index)) if passes is None else np.lexsort((making.index, passes))


def pass_of_batches(making: BatchMaking) -> Ints | None:
    """The pass of each batch that workers made, from 0; None where a batch's place in its pass is not known."""
    index = making.index
    if (index < 0).any():
        return None
    passes = np.zeros(len(index), dtype=np.int64)
    for worker in np.unique(making.worker):
        mine = np.flatnonzero(making.worker == worker)
        mine = mine[np.argsort(making.start_s[mine], kind="stable")]
        passes[mine[1:]] = np.cumsum(np.diff(index[mine]) <= 0)
    return passes

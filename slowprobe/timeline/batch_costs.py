"""What each batch of a loader cost when it was recorded: wall time and CPU time, in the order of making."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.loaders import LoaderFacts

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
    return BatchCosts(loader.fetch, loader.collate, np.minimum(fetch_cpu + loader.collate * collate_share, made))

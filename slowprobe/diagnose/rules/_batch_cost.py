"""What it is worth to make batches cheaper: shared by the rules about the dataset and about collating."""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.rules.workers_zero import recommended_workers
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.replay import Reload


def candidates(run: Any) -> list[LoaderFacts]:
    """Training loaders whose batches were seen being made."""
    return [loader for loader in run.loaders if loader.role == "training" and loader.make_s and not loader.watched]


def saved_share(run: Any, change: Reload) -> float:
    """What the change alone saves, of loop time."""
    outlook = run.replay.outlook([change])
    return float(outlook.saved_s / outlook.before_s) if outlook.before_s > 0 else 0.0


def saved_share_beside_workers(run: Any, loader: LoaderFacts, change: Reload) -> float:
    """What the change saves once a loader that has no workers is given some: those may hide the whole cost."""
    if loader.num_workers:
        return saved_share(run, change)
    workers = Reload(loader.id, recommended_workers(run, loader), persistent_workers=True)
    with_workers = run.replay.outlook([workers])
    if with_workers.saved_s <= 0:
        return saved_share(run, change)
    both = run.replay.outlook([workers, change])
    after = with_workers.expected_s
    return float((after - both.expected_s) / after) if after > 0 else 0.0

"""What it is worth to make batches cheaper: shared by the rules about the dataset and about collating."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.rules._same_batches import unsharded
from slowprobe.diagnose.rules._supply import HELD, MIN_WAIT, supply_of
from slowprobe.diagnose.rules.workers_zero import recommended_workers
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Change, Reload

COVERING = ("workers-zero", "workers-too-few", "repeated-deterministic-prep")
"""Rules whose edit does the work at other places, or keeps whatever it made: what makes it so much goes before them."""
BESIDE_WORKERS = ("partition", "replay", "cores", "input_curves", "loader_models")
DEEP = 16  # batches a worker; what a queue of that length does not bridge is no spell


def candidates(run: Evidence) -> list[LoaderFacts]:
    """Training loaders whose batches were seen being made."""
    return [loader for loader in run.loaders if loader.role == "training" and loader.make_s and not loader.watched]


def saved_share(run: Evidence, change: Change) -> float:
    """What the change alone saves, of loop time."""
    outlook = run.replay.outlook([change])
    return float(outlook.saved_s / outlook.before_s) if outlook.before_s > 0 else 0.0


def saved_share_beside_workers(run: Evidence, loader: LoaderFacts, change: Reload, overlap: bool = False) -> float:
    """What the change saves once the loader has the workers and the queue it should: those may hide the whole cost.

    overlap: whether more workers than cores wait at the same time (see `recommended_workers`). Reads BESIDE_WORKERS.
    """
    settings = _settings(run, loader, overlap)
    if settings is None:
        return saved_share(run, change)
    with_settings = run.replay.outlook([settings])
    if with_settings.saved_s <= 0:
        return saved_share(run, change)
    after = with_settings.expected_s
    # The change may make workers needless, and what they cost: their queue, and the cores they take from the step.
    best = min(run.replay.outlook(changes).expected_s for changes in ([settings, change], [change]))
    return float((after - best) / after) if after > 0 else 0.0


def _settings(run: Evidence, loader: LoaderFacts, overlap: bool) -> Reload | None:
    """What saves most of what workers-zero, workers-too-few, prefetch-shallow and head-of-line would have of it."""
    if not loader.num_workers:
        return Reload(loader.id, recommended_workers(run, loader, overlap), persistent_workers=True)
    supply = supply_of(run.partition, loader)
    if supply is None or supply.wait_share < MIN_WAIT:
        return None
    settings = [Reload(loader.id, prefetch_factor=max(DEEP, loader.prefetch_factor))]
    if (supply.held_share or 0.0) >= HELD and loader.making.in_order:
        settings.append(Reload(loader.id, in_order=False))
    workers = 0 if supply.suffices or unsharded(loader) else recommended_workers(run, loader, overlap)
    if workers > loader.num_workers:
        settings.append(Reload(loader.id, workers))
    return max(settings, key=lambda each: float(run.replay.outlook([each]).saved_s))

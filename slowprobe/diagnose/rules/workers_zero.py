"""The training process makes its batches itself, while the model waits.

What it is: a DataLoader with num_workers=0 reads, transforms and collates every batch on the training thread, so each
step pays for both.

Why it is slow: making the next batch and computing on this one could run at the same time; with worker processes a step
costs only the slower of the two.

How it is seen: the time of the dataset and collate calls inside the loader, batch by batch. The fix is replayed: the
recorded batch costs on n workers, with the prefetch queue, against the recorded steps, sharing this machine's cores.
The smallest n within 2 % of the best is recommended: at most one a core for batches that are computed, more where they
wait for storage or the network.

Stays quiet when: making a batch takes less than a millisecond (handing it over from a worker would cost as much), the
replay sees no gain (no core to spare), or the loader is not what the steps wait for.

Fix: DataLoader(..., num_workers=n, persistent_workers=True).

Sources: PyTorch Performance Tuning Guide (asynchronous data loading); Lightning's warning on few workers.
"""

from __future__ import annotations

import math

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.rules._mended import mended
from slowprobe.diagnose.rules._same_batches import divide_first
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Reload

MIN_BESIDE = 0.05  # of loop time, beside an edit that removes work: a few per cent are not worth processes
MIN_BATCH_S = 0.001  # below, the hand-over from a worker (0.2-0.5 ms) eats most of the gain
WORTHWHILE = 1.02  # of two settings within 2 % take the one with fewer workers: each costs memory and start-up

RULE = Rule(
    title="Batches are made in the training process",
    bottleneck="input",
    needs=(
        *("steps", "loaders", "replay", "cores", "source", "partition", "lines", "worker_lines"),
        *("input_curves", "loader_models"),
    ),
    before=("slow-transform",),
)


def check(run: Evidence) -> Answer:
    """Find loaders without workers whose batches take long enough to be worth making elsewhere."""
    candidates = [loader for loader in run.loaders if loader.num_workers == 0 and not loader.watched]
    if not candidates:
        return NotApplicable("every DataLoader has worker processes, or there is none")
    found = [diagnosis for loader in candidates if (diagnosis := _diagnose(run, loader)) is not None]
    if found:
        return found
    slowest = max(candidates, key=lambda loader: loader.make_s or 0.0)
    made = f"making a batch takes {(slowest.make_s or 0) * 1000:.2f} ms"
    if mended(run, slowest) is not None:
        return Passed(f"{made}, for which list-to-tensor or per-item-indexing has the better edit")
    return Passed(f"{made}; workers would gain nothing")


def recommended_workers(run: Evidence, loader: LoaderFacts, overlap: bool = True) -> int:
    """The smallest number of workers within 2 % of the best prediction, at most as many as keep the cores at work.

    That is one a core for batches that are computed; more where a batch waits for its data, unless that comes from
    where not all can be served at the same time (a disk): `overlap`. Reads cores, input_curves and loader_models.
    """
    cores = float(run.cores)
    curve, model = run.input_curves.get(loader.id), run.loader_models.get(loader.id)
    if curve is None or model is None:
        return max(1, math.floor(cores))
    alone = model.alone("expected")
    busy = float(alone.cpu.sum()) / max(float((alone.cpu + alone.idle).sum()), 1e-9)
    most = max(1.0, cores / max(busy, 1e-3) if overlap else cores)
    points = [point for point in curve.points if 1 <= point.num_workers <= most]
    best = min((point.expected_s for point in points), default=0.0)
    enough = (point.num_workers for point in points if point.expected_s <= best * WORTHWHILE)
    return min(enough, default=1)


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | None:
    make_s = loader.make_s
    if make_s is None or make_s < MIN_BATCH_S:
        return None
    workers = recommended_workers(run, loader)
    change = Reload(loader.id, workers, persistent_workers=True)
    if run.replay.outlook([change]).saved_s <= 0:
        return None
    cheaper = mended(run, loader)
    if cheaper is not None:  # another rule makes batches so cheap that there is little left to do elsewhere
        alone, both = (run.replay.outlook(changes).expected_s for changes in ([cheaper], [cheaper, change]))
        if alone - both < MIN_BESIDE * alone:
            return None
    spent = (loader.fetch_s or 0.0) + (loader.collate_s or 0.0)
    share = spent / run.partition.loop_s
    kind = "Each step" if loader.role == "training" else "Each evaluation batch"
    processes = f"{workers} worker process{'es' if workers > 1 else ''}"
    return Diagnosis(
        summary=(
            f"{kind} first makes its own batch: {make_s * 1000:.1f} ms, {share:.0%} of loop time, in which nothing is "
            f"trained. {processes.capitalize()} can do that meanwhile."
        ),
        where=place(loader.where),
        fix=Fix(
            text=(
                f"Give the DataLoader {processes} and keep {'them' if workers > 1 else 'it'} between epochs."
                f"{divide_first(run, loader) if workers > 1 else ''}"
            ),
            diff=set_arguments(
                run.source, loader.where, loader.class_name, num_workers=str(workers), persistent_workers="True"
            ),
        ),
        changes=[change],
        bottleneck="evaluation" if loader.role == "evaluation" else None,
        evidence={
            "making one batch, ms": round(make_s * 1000, 3),
            "of it in the dataset, ms": round(float(loader.fetch.mean()) * 1000, 3),
            "of it in collate, ms": round(float(loader.collate.mean()) * 1000, 3),
            "CPU use while making it": round(loader.cpu_share, 3),
            "batches": loader.batches,
            "cores": run.cores,
            "recommended num_workers": workers,
        },
    )

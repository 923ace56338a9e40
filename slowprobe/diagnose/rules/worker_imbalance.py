"""One worker makes far more batches than its share; at the end of a pass the others have nothing to do.

What it is: an IterableDataset divides its data among workers by files, shards or ranges of unequal size. Its workers
cannot take work from each other, so each pass lasts as long as the worker with the largest shard needs.

Why it is slow: once the small shards are used up, the loader has as many workers as there are large ones.

How it is seen: the seconds each worker spent on making batches: the busiest over the mean, where the loop waits. What
even shards would give is simulated: the recorded batches on the same number of workers, each batch to the next one.

Stays quiet when: the busiest worker has less than 1.3 times the mean, there were fewer than five batches a worker, the
steps wait for less than 5 % of loop time, or the dataset has indices (then batches are dealt out in turn).

Fix: in __iter__, give every worker each num_workers-th item (or file, sorted by size) from its own number on.

Sources: PyTorch documentation of IterableDataset (get_worker_info); webdataset and datasets on even shards.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slowprobe.diagnose.divided_at import divided_at
from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._supply import MIN_IMBALANCE, Supply, divided, ratio, scaled, waited_for
from slowprobe.run.record import Site
from slowprobe.timeline.loader_model import LoaderModel
from slowprobe.timeline.pipeline import simulate
from slowprobe.timeline.uncontended import CASES, HAND_OVER_S, SIMULATED, hand_over

RULE = Rule(
    title="One loader worker does much more than its share",
    bottleneck="input",
    needs=("loaders", "partition", "loader_models", "source"),
)


def check(run: Evidence) -> Answer:
    """Find iterable datasets whose shards differ in size."""
    waiting = waited_for(run)
    if not isinstance(waiting, list):
        return waiting
    sharded = [supply for supply in waiting if divided(supply.loader)]
    if not sharded:
        return NotApplicable("no IterableDataset is divided among workers")
    if all(supply.loader.making.imbalance is None for supply in sharded):
        return NotChecked("what each worker made was not recorded")
    found = []
    for supply in sharded:
        model = run.loader_models.get(supply.loader.id)
        if supply.uneven and model is not None:
            found.append(_diagnosis(run, supply, model))
    most = max(supply.loader.making.imbalance or 0.0 for supply in sharded)
    return found or Passed(
        f"the busiest worker does {most:.2f} times the mean, less than {MIN_IMBALANCE}; or too little was made"
    )


def _diagnosis(run: Evidence, supply: Supply, model: LoaderModel) -> Diagnosis:
    loader = supply.loader
    left = ratio([_even_wait_s(model, case) * loader.batches for case in CASES], loader.wait_s)
    rows = _rows(supply)
    most = max(rows, key=lambda row: row[2])
    imbalance = loader.making.imbalance or 1.0
    site = run.source.find("get_worker_info(")
    return Diagnosis(
        summary=(
            f"Worker {most[0]} of {loader.num_workers} makes {most[1]} of {sum(row[1] for row in rows)} batches, "
            f"{imbalance:.1f} times the mean work; when the others have used up their shards the loop waits for it: "
            f"{supply.wait_share:.0%} of loop time."
        ),
        where=place(divided_at(run.source, site) if site is not None else None, loader.where),
        fix=Fix(
            text=(
                "Give each worker the same amount: every num_workers-th item, or file in order of size, from its own "
                "number on."
            ),
            diff=_edit(run, site),
        ),
        changes=scaled(run.partition, "data_wait", loader, left),
        evidence={
            "busiest worker over the mean": round(imbalance, 3),
            "waiting, share of loop time": round(supply.wait_share, 4),
            "waiting with even shards, ms a batch": round(_even_wait_s(model, "expected") * 1000, 3),
            "waiting, ms a batch": round(loader.wait_s / max(loader.batches, 1) * 1000, 3),
            "workers": {
                "columns": ["worker", "batches", "seconds of making"],
                "rows": [[number, batches, round(seconds, 3)] for number, batches, seconds in rows],
            },
        },
    )


def _rows(supply: Supply) -> list[tuple[int, int, float]]:
    """Worker number, batches and seconds, over all starts."""
    sums: dict[int, tuple[int, float]] = {}
    for worker in supply.loader.making.workers:
        batches, seconds = sums.get(worker.worker, (0, 0.0))
        sums[worker.worker] = batches + worker.batches, seconds + worker.made_s
    return [(number, *values) for number, values in sorted(sums.items())]


def _even_wait_s(model: LoaderModel, case: Any) -> float:
    """Mean wait of a pass in which every batch goes to the next worker in turn."""
    alone = model.alone(case)
    count = min(model.length, SIMULATED)
    cpu, idle, consume = (np.resize(part, count) for part in (alone.cpu, alone.idle, alone.consume))
    times = simulate(cpu, idle, consume, model.recorded.settings, alone.cores, hand_over(HAND_OVER_S, case, True))
    return float(times.wait.mean())


def _edit(run: Evidence, site: Site | None) -> str:
    """The loop of the user's __iter__ over what every n-th item leaves; without its line, the idiom alone."""
    info = "info = torch.utils.data.get_worker_info()"
    even = "items = itertools.islice(items, info.id, None, info.num_workers)  # items: all there are, for every worker"
    known = [run.source.line(site.file, site.line)] if site is not None else []
    return diff([], [info, even]) if not known else f" {known[0]}\n" + diff([], [even])

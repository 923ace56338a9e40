"""The queue of prefetched batches is too short for the slow spells of the workers.

What it is: some batches, or stretches of them, take much longer to make than others, and prefetch_factor (2 by default)
keeps so few ready that the loop waits through each slow spell.

Why it is slow: time that workers have to spare between slow spells is lost when the queue is full; a deeper queue turns
it into batches that are ready when the next slow spell comes.

How it is seen: the recorded batches, in their order, are replayed with deeper queues; the smallest prefetch_factor
within 2 % of the best is recommended, with the memory that the batches in it take. Most often the loop waits although
the mean time of making a batch, over the number of workers, is below the mean step.

Stays quiet when: the steps wait for less than 5 % of loop time; too little is made on average and the replay gains less
than half of the waits from any queue (workers-too-few); most of the waiting is for one batch while later ones are ready
(head-of-line); shards are uneven (worker-imbalance); or half of the free memory would not hold a queue that helps.

Fix: DataLoader(..., prefetch_factor=n).

Sources: PyTorch documentation of DataLoader (prefetch_factor); tf.data guide (prefetch buffers against varying times).
"""

from __future__ import annotations

import numpy as np

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.rules._supply import HELD, Supply, judged
from slowprobe.timeline.input_curve import MEMORY_SHARE, WORTHWHILE
from slowprobe.timeline.loop_changes import Reload

DEEPER = (4, 8, 16, 32, 64)  # doublings: what a queue bridges grows with its length; beyond, batches are seconds old
MIN_SAVING = 0.01  # of loop time, as in every finding

RULE = Rule(
    title="The queue of prefetched batches is too short for slow spells",
    bottleneck="input",
    needs=("loaders", "partition", "replay", "available_bytes", "source"),
    before=("workers-too-few", "slow-transform"),
)


def check(run: Evidence) -> Answer:
    """Find loaders that make enough, but not in time."""
    return judged(run, _judge)


def _judge(run: Evidence, supply: Supply) -> Diagnosis | Passed:
    loader = supply.loader
    if supply.uneven:
        return Passed("the workers' shards differ in size: see worker-imbalance")
    if (supply.held_share or 0.0) >= HELD:
        return Passed("most of the waiting is for one batch while later ones are ready: see head-of-line")
    fitting = [depth for depth in DEEPER if depth > loader.prefetch_factor and _fits(run, supply, depth)]
    if not fitting:
        return Passed("half of the free memory holds no longer queue")
    outlooks = {depth: run.replay.outlook([Reload(loader.id, prefetch_factor=depth)]) for depth in fitting}
    best = min(outlook.expected_s for outlook in outlooks.values())
    depth = min(depth for depth, outlook in outlooks.items() if outlook.expected_s <= best * WORTHWHILE)
    saved = outlooks[depth].saved_s / outlooks[depth].before_s
    if not supply.suffices and saved < HELD * supply.wait_share:
        return Passed(
            f"{loader.num_workers} workers make a batch every {supply.period_s * 1000:.1f} ms, too slowly for steps of "
            f"{supply.step_s * 1000:.1f} ms whatever the queue"
        )
    if saved < MIN_SAVING:
        return Passed(f"a queue of {max(fitting)} batches a worker would shorten the waits by nothing that counts")
    return _diagnosis(run, supply, depth)


def _queue_bytes(supply: Supply, depth: int) -> float | None:
    """What the batches in the queue take; None where their size was not read."""
    size = supply.loader.making.batch_bytes
    return None if not size else size * depth * supply.loader.num_workers


def _fits(run: Evidence, supply: Supply, depth: int) -> bool:
    more, free = _queue_bytes(supply, depth), run.available_bytes
    return more is None or free is None or more <= MEMORY_SHARE * free


def _diagnosis(run: Evidence, supply: Supply, depth: int) -> Diagnosis:
    loader = supply.loader
    size = _queue_bytes(supply, depth)
    but = "yet" if supply.suffices else "and"
    memory = "memory for them that was not measured" if size is None else f"up to {size / 1e6:.0f} MB of memory"
    make = loader.fetch + loader.collate
    return Diagnosis(
        summary=(
            f"The workers make a batch every {supply.period_s * 1000:.1f} ms, the step takes {supply.step_s * 1000:.1f}"
            f" ms; {but} slow spells (a batch takes up to {float(make.max()) * 1000:.0f} ms) empty the queue of "
            f"{loader.prefetch_factor * loader.num_workers}, which costs {supply.wait_share:.0%} of loop time."
        ),
        where=place(loader.where),
        fix=Fix(
            text=(
                f"Let each worker prefetch {depth} batches: {depth * loader.num_workers} in the queue, which take "
                f"{memory}."
            ),
            diff=set_arguments(run.source, loader.where, loader.class_name, prefetch_factor=str(depth)),
        ),
        changes=[Reload(loader.id, prefetch_factor=depth)],
        evidence={
            "prefetch_factor": loader.prefetch_factor,
            "recommended prefetch_factor": depth,
            "num_workers": loader.num_workers,
            "a batch is made every, ms": round(supply.period_s * 1000, 3),
            "step without its wait, ms": round(supply.step_s * 1000, 3),
            "making one batch, median ms": round(float(np.median(make)) * 1000, 3),
            "making one batch, longest ms": round(float(make.max()) * 1000, 3),
            "waits, 95th percentile ms": round(float(np.percentile(loader.wait[~loader.first], 95)) * 1000, 3),
            "waiting, share of loop time": round(supply.wait_share, 4),
            "waiting with a later batch ready": _percent(supply.held_share),
            "memory of the queue, MB": "not recorded" if size is None else round(size / 1e6, 1),
        },
    )


def _percent(share: float | None) -> str:
    return "not recorded" if share is None else f"{share:.0%}"

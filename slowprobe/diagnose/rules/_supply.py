"""Training loaders with workers: how long the steps wait for them, and whether the workers make enough on average.

Shared by the rules about worker settings, which part the causes of a wait among them: passes that are given up after a
batch (loader-recreated), shards of unequal size (worker-imbalance), too little made on average (workers-too-few),
enough made but not in time (prefetch-shallow), in time but held back for the order (head-of-line).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed
from slowprobe.timeline.loader_model import LoaderModel
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.recording import KIND

MIN_WAIT = 0.05  # of loop time; less is what handing batches over costs, and jitter
SLACK = 0.9  # of a step; a queue served nearer to its limit stays empty for long after each delay
MIN_IMBALANCE = 1.3  # of the busiest worker over the mean; of 20 batches as uneven as can be, sums stray by 0.2
MIN_BATCHES_A_WORKER = 5  # fewer, and one batch more or less looks like a shard of another size
HELD = 0.5  # of the waiting, with a later batch ready: then the order is what most of it is for
ROOM = 0.5  # of the CPU time one more worker wants must be idle; below, it takes what it uses from the others
MIN_PASSES = 10  # a batch looked at before training, or a few sanity checks, are passes of one batch, too
ONE_BATCH = 1.5  # batches a pass: one, and now and then another


@dataclass(frozen=True)
class Supply:
    """Means of one loader, seconds a batch; the first batches of passes, which find an empty queue, are left out."""

    loader: LoaderFacts
    wait_s: float
    period_s: float
    """From one batch made to the next, all workers at work."""
    step_s: float
    """From a batch's arrival to the next request."""
    wait_share: float
    """Of loop time."""

    @property
    def suffices(self) -> bool:
        """Whether the workers make batches faster than the steps use them up."""
        return self.period_s <= SLACK * self.step_s

    @property
    def uneven(self) -> bool:
        """Whether the shards of an IterableDataset differ in size: its workers cannot take work from each other."""
        making, loader = self.loader.making, self.loader
        enough = loader.batches >= MIN_BATCHES_A_WORKER * loader.num_workers
        return divided(loader) and enough and (making.imbalance or 0.0) >= MIN_IMBALANCE

    @property
    def held_share(self) -> float | None:
        """Of the waiting, while a later batch was ready; None where the order of arrival was not recorded."""
        held_s = self.loader.making.head_of_line_s
        if held_s is None:
            return None
        return min(1.0, held_s / self.loader.wait_s) if self.loader.wait_s > 0 else 0.0


def divided(loader: LoaderFacts) -> bool:
    """Whether each worker has data of its own; without indices there is no length."""
    return loader.num_workers > 1 and (loader.iterable or loader.length is None)


def waited_for(run: Evidence) -> list[Supply] | NotApplicable | NotChecked | Passed:
    """The training loaders with workers that steps wait for, or why there is none. Reads loaders and partition."""
    mine = [loader for loader in run.loaders if loader.role == "training" and loader.num_workers > 0]
    if not mine:
        return NotApplicable("no training loader has worker processes")
    if all(given_up(run.partition, loader) for loader in mine):
        return Passed("a new iterator is made for every batch: see loader-recreated")
    seen = [supply for loader in mine if (supply := supply_of(run.partition, loader)) is not None]
    if not seen:
        return NotChecked("how the workers make batches was not recorded")
    waiting = [supply for supply in seen if supply.wait_share >= MIN_WAIT]
    most = max(supply.wait_share for supply in seen)
    return waiting or Passed(f"the steps wait for {most:.1%} of loop time")


def judged(run: Evidence, judge: Callable[[Any, Supply], Diagnosis | Passed | NotChecked]) -> Answer:
    """What `judge` says of the loaders that steps wait for; of several reasons the first."""
    waiting = waited_for(run)
    if not isinstance(waiting, list):
        return waiting
    answers = [judge(run, supply) for supply in waiting]
    found = [answer for answer in answers if isinstance(answer, Diagnosis)]
    return found or next(answer for answer in answers if not isinstance(answer, Diagnosis))


def supply_of(split: Partition, loader: LoaderFacts) -> Supply | None:
    """Its means; None where making, waiting or stepping was not recorded."""
    known = loader.consume[~np.isnan(loader.consume)]
    later = loader.wait[~loader.first]
    if loader.watched or not loader.make_s or not len(known) or not len(later):
        return None
    wait_s, loop_s = float(later.mean()), split.loop_s
    share = wait_s * loader.batches / loop_s if loop_s > 0 else 0.0
    return Supply(loader, wait_s, loader.make_s / loader.num_workers, float(known.mean()), share)


def cores_used(model: LoaderModel, supply: Supply, taking_s: float = 0.0) -> float:
    """Mean number of cores that the loop and the workers keep at work: CPU seconds a batch over seconds a batch.

    taking_s: of them, to take a batch over. Threads that libraries start in the workers are at work, too.
    """
    alone, workers = model.alone("expected"), model.loader.making.workers
    native_s = sum(worker.native_cpu_ns or 0 for worker in workers) / 1e9
    per_batch_s = native_s / max(sum(worker.batches for worker in workers), 1)
    cpu_s = alone.cores.step * float(alone.consume.mean()) + float(alone.cpu.mean()) + per_batch_s + taking_s
    return cpu_s / (supply.wait_s + supply.step_s)


def wanted_cores(model: LoaderModel) -> float:
    """The part of a core that one more worker uses: a batch that waits for storage needs hardly any."""
    alone = model.alone("expected")
    cpu_s, idle_s = float(alone.cpu.mean()), float(alone.idle.mean())
    return cpu_s / (cpu_s + idle_s) if cpu_s + idle_s > 0 else 1.0


def has_room(run: Evidence, model: LoaderModel, supply: Supply, taking_s: float = 0.0) -> bool:
    """Whether a core is idle for one more worker. Reads cores_per_rank."""
    idle = run.cores_per_rank - cores_used(model, supply, taking_s)
    return bool(idle >= ROOM * wanted_cores(model))


def given_up(split: Partition, loader: LoaderFacts) -> bool:
    """Whether passes over the loader end after their first batch, though there are more."""
    if loader.watched or loader.passes < MIN_PASSES or loader.batches > ONE_BATCH * loader.passes:
        return False
    if loader.length is not None:
        return loader.length > ONE_BATCH
    return (KIND["loader_end"], loader.id) not in split.by_key  # no pass of one batch came to its end


def scaled(split: Partition, kind: str, loader: LoaderFacts, left: Factor) -> list[Scale]:
    """The changes that leave `left` of what the loop spends in one kind of a loader's spans."""
    labels = split.by_key.get((KIND[kind], loader.id), {})
    return [
        Scale(bucket, scope, seconds, left)
        for (scope, bucket), seconds in labels.items()
        if scope in ("step", "off_step") and seconds > 0
    ]


def ratio(after: Sequence[float], before: float) -> Factor:
    """What remains of `before`, given what it will be in the best, the expected and the worst case; at most all."""
    best, expected, worst = (min(1.0, value / before) if before > 0 else 1.0 for value in after)
    return Factor(min(best, expected), expected, max(worst, expected))

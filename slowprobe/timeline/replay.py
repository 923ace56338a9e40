"""Re-schedules the recorded loop with changes applied: the only source of predicted savings.

Host work on the training thread is serial, so a change to it shortens each step by what it removes; batches that
workers make in the meantime are not: whenever a loader has (or gets) workers, its waits are simulated anew against the
step as it then is. Off-step work is shortened where it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.pipeline import HAND_OVER_S, WORKER_START_S, Cores, contended_waits

WAIT_BUCKETS = ("data_wait", "fetch", "collate")
MAX_BATCHES = 3_000  # simulated a pass; longer passes repeat themselves
COUPLING = {"best": 0.0, "expected": 0.5, "worst": 1.0}
HAND_OVER = {"best": 0.7, "expected": 1.0, "worst": 2.0}  # of what it takes in a process that does nothing else
MOVED = {"best": 0.95, "expected": 1.0, "worst": 1.25}  # of a batch's cost, in a process with caches of its own
_ROUNDING = 1e-6
_EVALUATION = ("off_step", "evaluation")


@dataclass(frozen=True)
class Factor:
    """What remains of a time, as a range: `best` ≤ `expected` ≤ `worst`; 0 is gone, 1 unchanged."""

    best: float
    expected: float
    worst: float


GONE = Factor(0.0, 0.0, 0.05)


@dataclass(frozen=True)
class Scale:
    """Change `seconds` of a bucket (its time over the run that the edit affects) to `factor` of it."""

    bucket: str
    scope: str
    seconds: float
    factor: Factor = GONE


@dataclass(frozen=True)
class Reload:
    """Other settings for a loader; None keeps what was recorded. fetch, collate: what remains of a batch's cost."""

    loader: int
    num_workers: int | None = None
    persistent_workers: bool | None = None
    prefetch_factor: int | None = None
    fetch: Factor = field(default_factory=lambda: Factor(1.0, 1.0, 1.0))
    collate: Factor = field(default_factory=lambda: Factor(1.0, 1.0, 1.0))


Change = Scale | Reload


@dataclass(frozen=True)
class Outlook:
    """Loop seconds before and after, the latter as a range."""

    before_s: float
    best_s: float
    expected_s: float
    worst_s: float

    @property
    def saved_s(self) -> float:
        """Expected saving, floored at zero."""
        return max(0.0, self.before_s - self.expected_s)

    @property
    def speedup(self) -> tuple[float, float, float]:
        """(low, expected, high): loop time before over after, each at least 1."""
        low, expected, high = (
            max(1.0, self.before_s / after) if after > 0 else 1.0
            for after in (self.worst_s, self.expected_s, self.best_s)
        )
        return min(low, expected), expected, max(high, expected)


class Replay:
    """The recorded loop, ready to be replayed with changes."""

    def __init__(
        self,
        split: Partition,
        loaders: Sequence[LoaderFacts],
        cores_available: float,
        step_cores: float,
        hand_over_s: Mapping[int, float] | None = None,
    ) -> None:
        """`hand_over_s`: of a batch from a worker, by loader, where it was measured."""
        self._split = split
        self._loaders = {loader.id: loader for loader in loaders}
        self._available = max(1.0, cores_available)
        self._hand_over_s = hand_over_s or {}
        self._step_cores = min(max(step_cores, 0.5), self._available)

    @cached_property
    def loop_s(self) -> float:
        """The recorded loop."""
        return self._split.loop_s

    def outlook(self, changes: Iterable[Change]) -> Outlook:
        """The loop with all `changes` applied together."""
        changes = list(changes)
        best, expected, worst = (self._loop_with(changes, case) for case in ("best", "expected", "worst"))
        return Outlook(self.loop_s, min(best, expected), expected, max(worst, expected))

    def _loop_with(self, changes: list[Change], case: str) -> float:
        left = self._scaled([change for change in changes if isinstance(change, Scale)], case)
        step_before = self._step_work(self._split.seconds)
        step_ratio = self._step_work(left) / step_before if step_before else 1.0
        total = sum(left.values())
        reloads = {change.loader: change for change in _merged(changes)}
        evaluation_before = self._split.seconds.get(_EVALUATION, 0.0)
        evaluation = left[_EVALUATION] / evaluation_before if evaluation_before else 1.0  # fewer batches to wait for
        for loader in self._loaders.values():
            change = reloads.get(loader.id)
            if change is None and (loader.num_workers == 0 or step_ratio == 1.0 or not loader.primary):
                continue
            difference = self._loader_difference(loader, change or Reload(loader.id), step_ratio, case)
            total += difference * (evaluation if loader.role == "evaluation" else 1.0)
        return max(total, 0.0)

    def _scaled(self, scales: list[Scale], case: str) -> dict[tuple[str, str], float]:
        left = {
            label: seconds
            for label, seconds in self._split.seconds.items()
            if label[0] in ("step", "off_step") and label[1] != "slowprobe"
        }
        for label in left:
            mine = [scale for scale in scales if (scale.scope, scale.bucket) == label and left[label] > 0]
            covered = [min(1.0, scale.seconds / left[label]) for scale in mine]
            removed = [share * (1 - getattr(scale.factor, case)) for share, scale in zip(covered, mine, strict=True)]
            # Changes that fit side by side add up; where they must overlap, each applies to what the others leave.
            kept = 1 - math.fsum(removed) if math.fsum(covered) <= 1 + _ROUNDING else math.prod(1 - r for r in removed)
            left[label] *= max(kept, 0.0)
        return left

    @staticmethod
    def _step_work(seconds: dict[tuple[str, str], float]) -> float:
        return sum(s for (scope, bucket), s in seconds.items() if scope == "step" and bucket not in WAIT_BUCKETS)

    def _loader_difference(self, loader: LoaderFacts, change: Reload, step_ratio: float, case: str) -> float:
        """Seconds that the loop gains or loses at this loader, over the run."""
        if not len(loader.fetch) or not len(loader.wait):
            return 0.0
        before = self._simulated(loader, Reload(loader.id), 1.0, "expected")
        after = self._simulated(loader, change, step_ratio if loader.primary else 1.0, case)
        per_batch = after - before
        if loader.num_workers:  # the model's own error must not become a saving
            recorded = float(np.mean(loader.wait))
            per_batch = max(per_batch, -recorded)
        return per_batch * loader.batches + self._start_difference(loader, change)

    def _simulated(self, loader: LoaderFacts, change: Reload, step_ratio: float, case: str) -> float:
        """Mean seconds a batch costs the loop: its wait, and what contention adds to the step."""
        workers = loader.num_workers if change.num_workers is None else change.num_workers
        fetch = loader.fetch * getattr(change.fetch, case)
        make = fetch + loader.collate * getattr(change.collate, case)
        if workers == 0:
            return float(np.mean(make))
        length = min(MAX_BATCHES, max(1, round(loader.batches / max(loader.passes, 1))))
        known = loader.consume[~np.isnan(loader.consume)]
        if not len(known):
            known = np.zeros(1)
        consume = np.resize(known, length) * step_ratio
        cores = Cores(self._available, self._step_cores, loader.cpu_share, COUPLING[case])
        prefetch = change.prefetch_factor or loader.prefetch_factor
        if not loader.num_workers:
            make = make * MOVED[case]
        hand_over_s = self._hand_over_s.get(loader.id, HAND_OVER_S) * HAND_OVER[case]
        make = np.resize(make, length)
        wait, slow_step = contended_waits(make, consume, workers, prefetch, cores, hand_over_s)
        if loader.num_workers:  # recorded with workers: the step has paid for its contention already
            slow_step = 1.0
        return float(np.mean(wait) + np.mean(consume) * (slow_step - 1))

    def _start_difference(self, loader: LoaderFacts, change: Reload) -> float:
        workers = loader.num_workers if change.num_workers is None else change.num_workers
        keeps = loader.persistent_workers if change.persistent_workers is None else change.persistent_workers
        before = starts_s(loader)
        if not loader.num_workers:
            return WORKER_START_S * workers * (1 if keeps else loader.passes)
        if keeps and not loader.persistent_workers and loader.passes > 1:
            return -before * (loader.passes - 1) / loader.passes
        return 0.0


def starts_s(loader: LoaderFacts) -> float:
    """Seconds spent on starting workers over the run: the iterators, and by how much first batches come later."""
    if not len(loader.wait) or not loader.first.any() or loader.first.all():
        return loader.start_s
    usual = max(float(np.median(loader.wait[~loader.first])), loader.make_s or 0.0)  # kept workers refill a queue too
    extra = loader.wait[loader.first] - usual
    return loader.start_s + float(np.maximum(extra, 0.0).sum()) * loader.passes / max(int(loader.first.sum()), 1)


def _merged(changes: list[Change]) -> list[Reload]:
    merged: dict[int, Reload] = {}
    for change in changes:
        if not isinstance(change, Reload):
            continue
        before = merged.get(change.loader)
        merged[change.loader] = change if before is None else _both(before, change)
    return list(merged.values())


def _both(one: Reload, two: Reload) -> Reload:
    def product(a: Factor, b: Factor) -> Factor:
        return Factor(a.best * b.best, a.expected * b.expected, a.worst * b.worst)

    return Reload(
        one.loader,
        two.num_workers if one.num_workers is None else one.num_workers,
        two.persistent_workers if one.persistent_workers is None else one.persistent_workers,
        two.prefetch_factor if one.prefetch_factor is None else one.prefetch_factor,
        product(one.fetch, two.fetch),
        product(one.collate, two.collate),
    )

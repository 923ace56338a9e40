"""Re-schedules the recorded loop with changes applied: the only source of predicted savings.

Host work on the training thread is serial, so a change to it shortens each step by what it removes (and, where that was
a pause between operators, by what these lost to it); batches that
workers make in the meantime are not: whenever a loader has (or gets) workers, its waits are simulated anew against the
step as it then is. Off-step work is shortened where it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from slowprobe.timeline.loader_model import LoaderModel, Plan, starts_s
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Change, Fewer, Reload, Scale, Threads, merged
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.pauses import Pauses
from slowprobe.timeline.pipeline import Settings
from slowprobe.timeline.uncontended import CASES, Case

WAIT_BUCKETS = ("data_wait", "fetch", "collate")
RESUMED = ("forward", "backward", "optimizer", "zero_grad")
_ROUNDING = 1e-6
_EVALUATION = ("off_step", "evaluation")


class DeviceReplay(Protocol):
    """The profiled steps as a graph of host and device work, and what changes to it would do to them."""

    def outlook(self, changes: Iterable[Any]) -> Outlook:
        """The profiled steps with all `changes` applied together."""


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
        models: Mapping[int, LoaderModel] | None = None,
        device: DeviceReplay | None = None,
        pauses: Pauses | None = None,
        steps: int = 0,
    ) -> None:
        """`models`: by loader; one without is left as it was. device: of the profiled steps. steps: in the loop."""
        self._split = split
        self._loaders = {loader.id: loader for loader in loaders}
        self._models = models or {}
        self._device = device
        self._pauses = pauses or Pauses()
        self._steps = steps

    @cached_property
    def loop_s(self) -> float:
        """The recorded loop."""
        return self._split.loop_s

    def outlook(self, changes: Iterable[Change]) -> Outlook:
        """The loop with all `changes` applied together."""
        changes = list(changes)
        best, expected, worst = (self._loop_with(changes, case) for case in CASES)
        return Outlook(self.loop_s, min(best, expected), expected, max(worst, expected))

    def _loop_with(self, changes: list[Change], case: Case) -> float:
        scales = [change for change in changes if isinstance(change, Scale)]
        left = self._resumed(self._scaled(scales, case), scales, case)
        on_device = self._on_device(changes, case)
        left = {label: seconds * (on_device if label[0] == "step" else 1.0) for label, seconds in left.items()}
        step_before = self._step_work(self._split.seconds)
        step_ratio = self._step_work(left) / step_before if step_before else 1.0
        fewer = min((getattr(change.factor, case) for change in changes if isinstance(change, Fewer)), default=1.0)
        total = sum(seconds * (fewer if label[0] == "step" else 1.0) for label, seconds in left.items())
        reloads = {change.loader: change for change in merged(changes)}
        threads = min((change.count for change in changes if isinstance(change, Threads)), default=None)
        waits_before = _waits(self._split.seconds)
        waits = _waits(left) / waits_before if waits_before else 1.0  # what a loader can save once, others saved before
        evaluation_before = self._split.seconds.get(_EVALUATION, 0.0)
        evaluation = left[_EVALUATION] / evaluation_before if evaluation_before else 1.0  # fewer batches to wait for
        for loader in self._loaders.values():
            change = reloads.get(loader.id)
            steps_change = loader.primary and (threads is not None or (loader.num_workers > 0 and step_ratio != 1.0))
            if change is None and not steps_change:
                continue
            change = change or Reload(loader.id)
            ratio = waits if loader.primary else 1.0
            difference = self._loader_difference(loader, change, step_ratio, case, threads, ratio)
            total += difference * (evaluation if loader.role == "evaluation" else fewer)
        return max(total, 0.0)

    def _on_device(self, changes: list[Change], case: Case) -> float:
        """What remains of a step, by the graph of the profiled ones."""
        mine = [change for change in changes if not isinstance(change, Scale | Reload | Threads | Fewer)]
        if not mine or self._device is None:
            return 1.0
        outlook = self._device.outlook(mine)
        after_s = {"best": outlook.best_s, "expected": outlook.expected_s, "worst": outlook.worst_s}[case]
        return after_s / outlook.before_s if outlook.before_s > 0 else 1.0

    def _scaled(self, scales: list[Scale], case: Case) -> dict[tuple[str, str], float]:
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

    def _resumed(
        self, left: dict[tuple[str, str], float], scales: list[Scale], case: Case
    ) -> dict[tuple[str, str], float]:
        """Steps after shorter pauses: of what they took after the recorded ones, that is left. At worst it is all.

        Python that is no pause is slower after one, too: small pieces of it took 2 to 3 times as long.
        """
        pauses = [scale for scale in scales if scale.pause and scale.scope == "step" and scale.bucket not in RESUMED]
        recorded_s = self._split.seconds
        python_s = max(0.0, recorded_s.get(("step", "python"), 0.0) - _pausing_s(pauses, "python"))
        work_s = python_s + sum(recorded_s.get(("step", bucket), 0.0) for bucket in RESUMED)
        if case == "worst" or not pauses or not self._steps or work_s <= 0:
            return left
        room = {bucket: recorded_s.get(("step", bucket), 0.0) for bucket in {scale.bucket for scale in pauses}}
        before = {bucket: min(seconds, _pausing_s(pauses, bucket)) for bucket, seconds in room.items()}
        after_s = sum(
            max(0.0, seconds - (room[bucket] - left.get(("step", bucket), 0.0))) for bucket, seconds in before.items()
        )
        waits_s = _waits(recorded_s)  # what pauses the steps besides, and still does
        step_s = np.array([work_s / self._steps])
        following = self._pauses.without(step_s, (waits_s + sum(before.values())) / self._steps)
        taken = float(self._pauses.after(following, (waits_s + after_s) / self._steps)[0] / step_s[0])
        faster = {("step", bucket): left.get(("step", bucket), 0.0) for bucket in RESUMED}
        faster["step", "python"] = min(python_s, left.get(("step", "python"), 0.0))
        gone = 1.0 - min(1.0, taken)
        return {label: seconds - gone * faster.get(label, 0.0) for label, seconds in left.items()}

    @staticmethod
    def _step_work(seconds: dict[tuple[str, str], float]) -> float:
        return sum(s for (scope, bucket), s in seconds.items() if scope == "step" and bucket not in WAIT_BUCKETS)

    def _loader_difference(
        self,
        loader: LoaderFacts,
        change: Reload,
        step_ratio: float,
        case: Case,
        threads: int | None,
        waits: float,
    ) -> float:
        """Seconds that the loop gains or loses at this loader, over the run, beside what its steps themselves lose.

        waits: what other changes leave of the time that is spent on batches; no more than that can be saved.
        """
        model = self._models.get(loader.id)
        if model is None or not len(loader.fetch) or not len(loader.wait):
            return 0.0
        step = step_ratio if loader.primary else 1.0
        ends = not loader.num_workers  # ending recorded workers is a time of its own, which rules scale
        plan = planned(model.recorded, change, case)
        after = model.period_s(plan, step, case, ends=ends, threads=threads if loader.primary else None)
        before = model.period_s(model.recorded, ends=ends)
        per_batch = after - before - float(model.consume.mean()) * (step - 1)
        if not loader.num_workers:
            per_batch *= waits if per_batch < 0 else 1.0
        elif threads is None:  # the model's own error must not become a saving
            starts = 1 if loader.persistent_workers else max(1, loader.passes)
            started = (starts_s(loader) + model.forked_s * starts) / max(loader.batches, 1)
            per_batch = max(
                per_batch, -waits * (model.waits_s + model.paused_s(case)) - model.held_up_s(case) - started
            )
        return per_batch * loader.batches


def _pausing_s(pauses: Iterable[Scale], bucket: str) -> float:
    return math.fsum(scale.seconds for scale in pauses if scale.bucket == bucket)


def _waits(seconds: Mapping[tuple[str, str], float]) -> float:
    return sum(seconds.get(("step", bucket), 0.0) for bucket in WAIT_BUCKETS)


def planned(recorded: Plan, change: Reload, case: Case) -> Plan:
    """The recorded plan with a change."""

    def new(value: float | None, before: float) -> float:
        return before if value is None else value

    now = recorded.settings
    settings = Settings(
        now.num_workers if change.num_workers is None else change.num_workers,
        change.prefetch_factor or now.prefetch_factor,
        now.in_order if change.in_order is None else change.in_order,
        new(change.pin_s, now.pin_s),
    )
    keeps = recorded.persistent_workers if change.persistent_workers is None else change.persistent_workers
    fetch, collate, kept = (getattr(factor, case) for factor in (change.fetch, change.collate, change.cached))
    return Plan(settings, keeps, fetch, collate, kept)

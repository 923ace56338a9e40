"""A recorded loader as a model: the period of its loop with other settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from slowprobe.timeline.after_fork import without_forks
from slowprobe.timeline.batch_costs import BatchCosts
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.pauses import Pauses
from slowprobe.timeline.pipeline import NO_HAND_OVER, HandOver, Settings
from slowprobe.timeline.uncontended import (
    HAND_OVER_S,
    Alone,
    Case,
    Floats,
    Machine,
    Shape,
    as_recorded,
    hand_over,
    repeated,
    undone,
    with_threads,
)

FORK_S = 0.017  # of the training process for each forked worker: measured 11-28 ms with torch 2.13
SPAWN_S = 1.7  # of each spawned one, which imports torch and unpickles the dataset first: measured 1.5-2 s
BOOT_S = 0.012  # from its fork until a worker begins its first batch: measured 6-19 ms
STOP_S = 0.009  # of the training process for each worker that is ended after a pass: measured 4-10 ms
RESUME_S = 0.0005  # for each kept worker, at the start of a pass: measured 0.2-0.8 ms
# Of a prediction for other settings, beyond what its cases span: with it, 102 of 128 measured times lay inside.
STRAY = {"best": 0.9, "expected": 1.0, "worst": 1.1}
MISFIT = 1.5  # a recorded period that is further off than this was disturbed by something that no setting changes
_THERE_S = 1e-5  # a simulated wait without hand-over that is shorter found its batch ready
SAME_STEP = 0.02  # steps that differ less by the pauses before them need no second simulation
_OFTEN = 0.2  # of the batches: fewer of a kind do not tell what is usual


@dataclass(frozen=True)
class Plan:
    """Settings to predict, and what remains of a batch's cost in the dataset (fetch) and in collate.

    cached: the part of the dataset's cost that is gone from the second pass on.
    """

    settings: Settings
    persistent_workers: bool
    fetch: float = 1.0
    collate: float = 1.0
    cached: float = 0.0


class LoaderModel:
    """Predicts the period of one loader: seconds of the loop from batch to batch, start of its passes spread over them.

    hand_over_s, lock_s: measured for a loader that has no workers. forked_s: what it would cost the step after a start.
    pauses: what a step costs more after a batch was made in its own process.
    """

    def __init__(
        self,
        loader: LoaderFacts,
        costs: BatchCosts,
        machine: Machine,
        hand_over_s: float | None = None,
        lock_s: float | None = None,
        forked_s: float = 0.0,
        pauses: Pauses | None = None,
    ) -> None:
        self.loader = loader
        self._pauses = pauses or Pauses()
        self._steps, seen_s = without_forks(loader)
        self.forked_s = forked_s if seen_s is None else seen_s
        """How much longer the first step after a start of workers takes."""
        self._lock_s = lock_s
        self._costs = costs
        self._machine = machine
        self._measured_hand_over_s = hand_over_s
        self._alone: dict[Case, Alone] = {}
        self._known: dict[tuple[Plan, float, Case, float | None, HandOver | None, int | None], float] = {}
        settings = Settings(loader.num_workers, loader.prefetch_factor, loader.making.in_order)
        self.recorded = Plan(settings, loader.persistent_workers)

    @cached_property
    def length(self) -> int:
        """Batches in a pass."""
        return max(1, round(self.loader.batches / max(self.loader.passes, 1)))

    @cached_property
    def consume(self) -> Floats:
        """Recorded steps, from a batch's arrival to the next request; those after a start of workers as the others."""
        known = self._steps[~np.isnan(self._steps)]
        return known if len(known) else np.zeros(1)

    @property
    def step_cpu_s(self) -> float:
        """Mean CPU seconds of a recorded step, its threads together: waiting for a core is not in it."""
        return self._machine.step_cores * float(self.consume.mean())

    @cached_property
    def waits_s(self) -> float:
        """Recorded wait a batch."""
        return float(np.mean(self.loader.wait)) if len(self.loader.wait) else 0.0

    def paused_s(self, case: Case) -> float:
        """Of a recorded step, what is due to the wait before it."""
        following = self._pauses.without(self.consume, self.waits_s)
        return 0.0 if case == "worst" else float(np.mean(self.consume - following))

    def held_up_s(self, case: Case) -> float:
        """Of a recorded step, what workers beside it cost it; 0 where the step was not tried alone."""
        if self._machine.alone is None or not self.loader.num_workers:
            return 0.0
        return max(0.0, float(self.consume.mean() - self.alone(case).consume.mean()))

    def period_s(
        self,
        plan: Plan,
        step: float = 1.0,
        case: Case = "expected",
        ends: bool = True,
        cores: float | None = None,
        hand_over: HandOver | None = None,
        threads: int | None = None,
    ) -> float:
        """Seconds a batch with that plan, the step's own cost being `step` times what it was.

        ends: with the time to end workers after a pass. cores, hand_over: of another machine; None for this one.
        threads: for the operators of the step; None for as many as there were.
        """
        key = (plan, round(step, 4), case, cores, hand_over, threads)
        if key not in self._known:
            alone = self._on(self.alone(case), step, case, cores, threads)
            self._known[key] = self._mean_s(plan, alone, case, hand_over or self.hand_over(case))
        seconds = self._known[key] + self._start_s(plan, ends)
        same = (plan.settings, plan.persistent_workers) == (self.recorded.settings, self.recorded.persistent_workers)
        return seconds if same else seconds * STRAY[case]

    @staticmethod
    def _on(alone: Alone, step: float, case: Case, cores: float | None, threads: int | None) -> Alone:
        if threads is not None:
            alone = with_threads(alone, threads, case)
        used = alone.cores if cores is None else replace(alone.cores, available=cores, _known={})
        return replace(alone, consume=alone.consume * step, cores=used)

    def _mean_s(self, plan: Plan, alone: Alone, case: Case, hand_over: HandOver) -> float:
        pauses = Pauses() if case == "worst" else self._pauses
        first = self._pass_s(plan, alone, 1.0, hand_over, pauses)
        passes = max(1, self.loader.passes)
        later = self._pass_s(plan, alone, 1.0 - plan.cached, hand_over, pauses) if plan.cached else first
        mean = (first + (passes - 1) * later) / passes
        seen = self.loader.num_workers and plan.settings.num_workers
        return mean * self._unexplained(case) if seen else mean

    def alone(self, case: Case) -> Alone:
        """The recorded costs with the contention of the recording taken out."""
        if case not in self._alone:
            known = self._costs, self.consume, self._machine
            shape = self._shape(self.recorded)
            self._alone[case] = undone(*known, shape, case) if self.loader.num_workers else as_recorded(*known, case)
        return self._alone[case]

    def hand_over(self, case: Case, bare: bool = True) -> HandOver:
        """`bare`: in a run without slowprobe, whose recording makes workers give up the interpreter lock at once."""
        return hand_over(self._take_s, case, bare, self._lock_s)

    @cached_property
    def _take_s(self) -> float:
        """What the training thread pays for a batch: measured, or read off the waits for batches that were there."""
        if not self.loader.num_workers:
            return self._measured_hand_over_s or HAND_OVER_S
        usual = self.loader.wait[~self.loader.first]
        times = repeated(self.alone("expected"), self._shape(self.recorded), NO_HAND_OVER)
        there = float((times.wait < _THERE_S).mean())
        return float(np.quantile(usual, there / 2)) if there >= _OFTEN and len(usual) else HAND_OVER_S

    def _unexplained(self, case: Case) -> float:
        """Recorded period over the simulated one, without the starts of passes."""
        times = repeated(self.alone(case), self._shape(self.recorded), self.hand_over(case, bare=False))
        simulated = times.total_s / max(len(times.wait), 1)
        usual = self.loader.wait[~self.loader.first] if not self.loader.first.all() else self.loader.wait
        starting = float(times.wait[0]) / self.length
        recorded = float(np.mean(usual)) + float(self.consume.mean()) + starting
        ratio = min(MISFIT, max(1 / MISFIT, recorded / simulated)) if simulated > 0 else 1.0
        return {"best": min(1.0, ratio), "expected": ratio, "worst": max(1.0, ratio)}[case]

    def _pass_s(self, plan: Plan, alone: Alone, left: float, hand_over: HandOver, pauses: Pauses) -> float:
        made = self._costs.fetch + self._costs.collate
        fetch = np.divide(self._costs.fetch, made, out=np.ones_like(made), where=made > 0)
        cost = fetch * plan.fetch * left + (1 - fetch) * plan.collate
        # Before each step its thread made a batch, or waited for one.
        paused_s = float(np.mean(made)) if self.loader.num_workers == 0 else self.waits_s
        following = pauses.without(alone.consume, paused_s)
        if plan.settings.num_workers == 0 and self.loader.num_workers == 0:
            pause, collate_s = float(np.mean(made * cost)), float(np.mean(self._costs.collate))
            # Asking for a batch is Python of the loader's own, and slower after a pause, as the step is.
            asking_s = max(0.0, self.waits_s - float(np.mean(made)))
            resumed = alone.consume + asking_s
            following = pauses.without(resumed, paused_s)
            if plan.collate == 1.0:  # collating is resumed after a pause, too, as long as the dataset takes
                before = float(np.mean(self._costs.fetch))
                following, pause = pauses.without(resumed + collate_s, before), before * plan.fetch * left
            return pause + plan.settings.pin_s + float(pauses.after(following, pause).mean()) - asking_s
        changed = replace(alone, cpu=alone.cpu * cost, idle=alone.idle * cost)
        times = repeated(changed, self._shape(plan), hand_over)
        resumed = pauses.after(following, float(times.wait.mean()))
        if abs(float(resumed.mean() - alone.consume.mean())) > SAME_STEP * float(alone.consume.mean()):
            times = repeated(replace(changed, consume=resumed), self._shape(plan), hand_over)
        half = len(times.wait) // 2
        if self.length <= len(times.wait) or half < 1:
            return times.total_s / len(times.wait)
        steady = float((times.wait[half:] + times.consume[half:]).mean())
        begin = float((times.wait[:half] + times.consume[:half]).sum())
        return (begin + steady * (self.length - half)) / self.length

    def _shape(self, plan: Plan) -> Shape:
        return Shape(plan.settings, self.length, self.loader.passes)

    def starts_saved_s(self, num_workers: int) -> float:
        """Seconds of the run that so many workers instead of the recorded ones would save by being started only."""
        settings = replace(self.recorded.settings, num_workers=num_workers)
        fewer = self._start_s(replace(self.recorded, settings=settings), ends=True)
        return (self._start_s(self.recorded, ends=True) - fewer) * self.loader.batches

    def _start_s(self, plan: Plan, ends: bool) -> float:
        """Starting and ending workers, seconds a batch."""
        loader, workers = self.loader, plan.settings.num_workers
        if workers == 0:
            return 0.0
        passes = max(1, loader.passes)
        fork, boot = SPAWN_S if loader.start_method in ("spawn", "forkserver") else FORK_S, BOOT_S
        if loader.num_workers:  # starting them was seen
            seen = 1 if loader.persistent_workers else passes
            fork = loader.start_s / (seen * loader.num_workers)
            boot = (starts_s(loader) - loader.start_s) / seen
        once = workers * fork + boot + self.forked_s
        if not plan.persistent_workers and ends:
            once += workers * STOP_S
        starts = 1 if plan.persistent_workers else passes
        return (once * starts + RESUME_S * workers * (passes - starts)) / max(loader.batches, 1)


def starts_s(loader: LoaderFacts) -> float:
    """Seconds spent on starting workers over the run: the iterators, and by how much first batches come later."""
    if not len(loader.wait) or not loader.first.any() or loader.first.all():
        return loader.start_s
    usual = max(float(np.median(loader.wait[~loader.first])), loader.make_s or 0.0)  # kept workers refill a queue too
    extra = loader.wait[loader.first] - usual
    return loader.start_s + float(np.maximum(extra, 0.0).sum()) * loader.passes / max(int(loader.first.sum()), 1)

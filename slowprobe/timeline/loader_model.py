"""A recorded loader as a model: what a batch and a step cost when alone, and so the period with other settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.batch_costs import BatchCosts
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.pipeline import HandOver, PassTimes, Settings, simulate
from slowprobe.timeline.sharing import Cores

Case = Literal["best", "expected", "worst"]
CASES: tuple[Case, ...] = ("best", "expected", "worst")
Floats = npt.NDArray[np.float64]

HAND_OVER_S = 0.0005  # queue and shared memory, a batch, where it was not measured: 0.2-0.7 ms on Linux, torch 2.13
FORK_S = 0.012  # of the training process for each forked worker: measured 10-15 ms with torch 2.13; spawned ones differ
BOOT_S = 0.008  # from its fork until a worker begins its first batch: measured 6-17 ms
STOP_S = 0.005  # of the training process for each worker that is ended after a pass: measured 4-10 ms
RESUME_S = 0.0005  # for each kept worker, at the start of a pass: measured 0.2-0.8 ms
COUPLING = {"best": 0.0, "expected": 0.5, "worst": 1.0}
HAND_OVER = {"best": 0.7, "expected": 1.0, "worst": 2.0}  # of what it takes in a process that does nothing else
GIVE = 0.5  # of what the training thread pays, the worker pays: both ends were measured together
# The lock of a worker that computes: measured 0.5-1.5 ms beyond a sleeping one's answer in array code that lets go of
# it often, 7-14 ms in code that holds it for Python's switch interval of 5 ms, again and again.
LOCK_S = {"best": 0.0, "expected": 0.001, "worst": 0.01}
MOVED = {"best": 0.95, "expected": 1.0, "worst": 1.25}  # of a batch's cost, in a process with caches of its own
SIMULATED = 500  # batches; a longer pass goes on like the second half of what is simulated
_FITTED = 4  # rounds; how long batches wait changes by less than 1 % after three
_TRIED = 9  # steps tried, and two in between
_FIT_BATCHES = 200
_LEAST = 0.05  # of a recorded time is what it takes alone, at least: no contention is that bad


@dataclass(frozen=True)
class Machine:
    """What the run may use: cores of one rank, and of a step its mean use of them and its most threads."""

    cores: float
    step_cores: float
    threads: int


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


@dataclass(frozen=True)
class Alone:
    """Costs without contention, seconds a batch: CPU work and waiting of making it, and the step; cores of the step."""

    cpu: Floats
    idle: Floats
    consume: Floats
    cores: Cores


class LoaderModel:
    """Predicts the period of one loader: seconds of the loop from batch to batch, start of its passes spread over them.

    hand_over_s: measured for a loader that has no workers. in_order: as recorded.
    """

    def __init__(
        self,
        loader: LoaderFacts,
        costs: BatchCosts,
        machine: Machine,
        hand_over_s: float | None = None,
        in_order: bool = True,
    ) -> None:
        self.loader = loader
        self._costs = costs
        self._machine = machine
        self._measured_hand_over_s = hand_over_s
        self._alone: dict[Case, Alone] = {}
        self._known: dict[tuple[Plan, float, Case, float | None, HandOver | None], float] = {}
        self.recorded = Plan(Settings(loader.num_workers, loader.prefetch_factor, in_order), loader.persistent_workers)

    @cached_property
    def length(self) -> int:
        """Batches in a pass."""
        return max(1, round(self.loader.batches / max(self.loader.passes, 1)))

    @cached_property
    def consume(self) -> Floats:
        """Recorded steps, from a batch's arrival to the next request."""
        known = self.loader.consume[~np.isnan(self.loader.consume)]
        return known if len(known) else np.zeros(1)

    @cached_property
    def waits_s(self) -> float:
        """Recorded wait a batch."""
        return float(np.mean(self.loader.wait)) if len(self.loader.wait) else 0.0

    def period_s(
        self,
        plan: Plan,
        step: float = 1.0,
        case: Case = "expected",
        ends: bool = True,
        cores: float | None = None,
        hand_over: HandOver | None = None,
    ) -> float:
        """Seconds a batch with that plan, the step's own cost being `step` times what it was.

        ends: with the time to end workers after a pass. cores, hand_over: of another machine; None for this one.
        """
        key = (plan, round(step, 4), case, cores, hand_over)
        if key not in self._known:
            self._known[key] = self._mean_s(plan, step, case, cores, hand_over or self.hand_over(case))
        return self._known[key] + self._start_s(plan, ends)

    def _mean_s(self, plan: Plan, step: float, case: Case, cores: float | None, hand_over: HandOver) -> float:
        first = self._pass_s(plan, step, case, 1.0, cores, hand_over)
        passes = max(1, self.loader.passes)
        later = self._pass_s(plan, step, case, 1.0 - plan.cached, cores, hand_over) if plan.cached else first
        mean = (first + (passes - 1) * later) / passes
        seen = self.loader.num_workers and plan.settings.num_workers
        return mean * self._unexplained(case) if seen else mean

    def alone(self, case: Case) -> Alone:
        """The recorded costs with the contention of the recording taken out."""
        if case not in self._alone:
            self._alone[case] = self._undone(case) if self.loader.num_workers else self._as_recorded(case)
        return self._alone[case]

    def hand_over(self, case: Case, bare: bool = True) -> HandOver:
        """`bare`: in a run without slowprobe, whose recording makes workers give up the interpreter lock at once."""
        take = (self._measured_hand_over_s or HAND_OVER_S) * HAND_OVER[case]
        return HandOver(take, take * GIVE, LOCK_S[case] if bare else 0.0)

    def _as_recorded(self, case: Case) -> Alone:
        machine = self._machine
        make = self._costs.fetch + self._costs.collate
        cores = Cores(machine.cores, machine.step_cores, machine.threads, COUPLING[case])
        moved = MOVED[case]
        return Alone(self._costs.cpu * moved, (make - self._costs.cpu) * moved, self.consume, cores)

    def _undone(self, case: Case) -> Alone:
        """Costs for which the simulation of the recorded settings gives the recorded times.

        Of making a batch the CPU time is known; what else it took is waiting, for its data or for a core. Of a step,
        too: alone, it takes the same CPU time in less time on more cores, at most one a thread. How much less is
        searched; for each answer, batches wait for their data only as long as contention leaves to be explained.
        """
        machine, recorded = self._machine, float(self.consume.mean())
        step_cpu = machine.step_cores * recorded
        fastest = min(recorded, max(step_cpu / max(min(machine.threads, machine.cores), 1.0), _LEAST * recorded))
        steps = np.linspace(fastest, recorded, _TRIED)
        misfit, best, alone = min(
            (self._waiting(case, float(step), step_cpu) for step in steps), key=lambda each: each[0]
        )
        between = (recorded - fastest) / (_TRIED - 1)
        for step in (best - between / 2, best + between / 2):
            if fastest <= step <= recorded and between > 0:
                closer, _, other = self._waiting(case, step, step_cpu)
                if closer < misfit:
                    misfit, alone = closer, other
        return alone

    def _waiting(self, case: Case, step: float, step_cpu: float) -> tuple[float, float, Alone]:
        """How far off the simulation is with this step; the step; all costs."""
        costs, recorded = self._costs, float(self.consume.mean())
        made = costs.fetch + costs.collate
        rest = np.maximum(made - costs.cpu, 0.0)
        waiting = 0.0
        for _ in range(_FITTED):
            alone = self._fitted(case, rest * waiting, step, step_cpu)
            times = self._simulated(self.recorded, alone, self.hand_over(case, bare=False), _FIT_BATCHES)
            missing = float(made.mean()) - float(times.make.mean())
            waiting = min(1.0, max(0.0, waiting + missing / max(float(rest.mean()), 1e-9)))
        off = abs(missing) / max(float(made.mean()), 1e-9)
        return off + abs(float(times.consume.mean()) / recorded - 1 if recorded > 0 else 0.0), step, alone

    def _fitted(self, case: Case, idle: Floats, step: float, step_cpu: float) -> Alone:
        recorded = float(self.consume.mean())
        consume = self.consume * (step / recorded) if recorded > 0 else self.consume
        cores = step_cpu / step if step > 0 else 1.0
        return Alone(
            self._costs.cpu, idle, consume, Cores(self._machine.cores, cores, self._machine.threads, COUPLING[case])
        )

    def _unexplained(self, case: Case) -> float:
        """Recorded period over the simulated one, without the starts of passes."""
        times = self._simulated(self.recorded, self.alone(case), self.hand_over(case, bare=False))
        simulated = times.total_s / max(len(times.wait), 1)
        usual = self.loader.wait[~self.loader.first] if not self.loader.first.all() else self.loader.wait
        starting = float(times.wait[0]) / self.length
        recorded = float(np.mean(usual)) + float(self.consume.mean()) + starting
        return min(1.5, max(0.67, recorded / simulated)) if simulated > 0 else 1.0

    def _pass_s(
        self, plan: Plan, step: float, case: Case, left: float, cores: float | None, hand_over: HandOver
    ) -> float:
        alone = self.alone(case)
        made = self._costs.fetch + self._costs.collate
        fetch = np.divide(self._costs.fetch, made, out=np.ones_like(made), where=made > 0)
        cost = fetch * plan.fetch * left + (1 - fetch) * plan.collate
        if plan.settings.num_workers == 0 and self.loader.num_workers == 0:
            return float(np.mean(made * cost)) + plan.settings.pin_s + float(self.consume.mean()) * step
        used = alone.cores if cores is None else replace(alone.cores, available=cores, _known={})
        changed = Alone(alone.cpu * cost, alone.idle * cost, alone.consume * step, used)
        times = self._simulated(plan, changed, hand_over)
        half = len(times.wait) // 2
        if self.length <= len(times.wait) or half < 1:
            return times.total_s / len(times.wait)
        steady = float((times.wait[half:] + times.consume[half:]).mean())
        begin = float((times.wait[:half] + times.consume[:half]).sum())
        return (begin + steady * (self.length - half)) / self.length

    def _simulated(self, plan: Plan, alone: Alone, hand_over: HandOver, most: int = SIMULATED) -> PassTimes:
        """One pass after the other, with the recorded batches in their order, until enough are simulated."""
        passes = min(max(1, self.loader.passes), max(1, most // self.length))
        length = min(self.length, most)
        parts = []
        for number in range(passes):
            begin = number * length
            cpu, idle, consume = (_part(each, begin, length) for each in (alone.cpu, alone.idle, alone.consume))
            parts.append(simulate(cpu, idle, consume, plan.settings, alone.cores, hand_over))
        return PassTimes(
            np.concatenate([part.wait for part in parts]),
            np.concatenate([part.consume for part in parts]),
            np.concatenate([part.make for part in parts]),
            [batch for part in parts for batch in part.order],
        )

    def _start_s(self, plan: Plan, ends: bool) -> float:
        """Starting and ending workers, seconds a batch."""
        loader, workers = self.loader, plan.settings.num_workers
        if workers == 0:
            return 0.0
        passes = max(1, loader.passes)
        fork, boot = FORK_S, BOOT_S
        if loader.num_workers:  # starting them was seen
            seen = 1 if loader.persistent_workers else passes
            fork = loader.start_s / (seen * loader.num_workers)
            boot = (starts_s(loader) - loader.start_s) / seen
        once = workers * fork + boot
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


def _part(sequence: Floats, begin: int, length: int) -> Floats:
    """`length` of a sequence that repeats itself, from `begin` on."""
    return np.take(sequence, np.arange(begin, begin + length), mode="wrap")

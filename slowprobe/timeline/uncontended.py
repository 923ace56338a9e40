"""What a batch and a step of a recorded loader cost when alone: the contention of the recording taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.batch_costs import BatchCosts
from slowprobe.timeline.pipeline import HandOver, PassTimes, Settings, simulate
from slowprobe.timeline.sharing import Cores
from slowprobe.timeline.step_alone import StepAlone

Case = Literal["best", "expected", "worst"]
CASES: tuple[Case, ...] = ("best", "expected", "worst")
Floats = npt.NDArray[np.float64]

HAND_OVER_S = 0.0005  # queue and shared memory, a batch, where it was not measured: 0.2-0.7 ms on Linux, torch 2.13
COUPLING = {"best": 0.0, "expected": 0.8, "worst": 1.0}  # see Cores; on 2 cores OpenMP steps were mostly held up
HAND_OVER = {"best": 0.7, "expected": 1.5, "worst": 3.0}  # of what it takes alone: with busy cores 0.8 to 2.6 times
GIVE = 0.5  # of what the training thread pays, the worker pays: both ends were measured together
# The lock of a worker that computes: measured 0.5-1.5 ms beyond a sleeping one's answer in array code that lets go of
# it often, 7-14 ms in code that holds it for Python's switch interval of 5 ms, again and again.
LOCK_S = {"best": 0.0, "expected": 0.001, "worst": 0.01}
# How often a batch's way out of a worker needs its lock: to pickle it, to accept a connection and to answer on it.
ASKED = {"best": 1.0, "expected": 2.0, "worst": 4.0}
# Of the work that n threads of a parallel region seem to do: the rest is waiting for each other, and memory.
SCALES = {"best": 0.7, "expected": 0.85, "worst": 1.0}
UNSAMPLED = 0.75  # of the time of a recorded worker (capture/turn_taking.py)
MOVED = {"best": 0.95, "expected": 1.0, "worst": 1.25}  # of a batch's cost, in a process with caches of its own
SIMULATED = 500  # batches; a longer pass goes on like the second half of what is simulated
_FITTED = 4  # rounds; how long batches wait changes by less than 1 % after three
_TRIED = 9  # steps tried, and two in between
_FIT_BATCHES = 200
_SPIN = 4 / 3  # most that spinning adds to the CPU time of a step: one thread at half speed, of two on two cores
_LEAST = 0.05  # of a recorded time is what it takes alone, at least: no contention is that bad
# In the loop, of what operators take alone after the run: 0.93 to 1.29 times in six loops without workers, which leave
# them the caches and the memory. Beside workers that compute, one thread for operators gained half of what 1.1 gives.
TRIED = {"best": 1.0, "expected": 1.4, "worst": 2.0}
_HELD_MOST = 40.0  # times: a region of 0.1 ms between time slices of 4 ms
_HELD_FITTED = 10  # rounds; each closes half of what is missing, or more


@dataclass(frozen=True)
class Machine:
    """What the run may use: cores of one rank, and of a step its mean use of them and its most threads.

    alone: what the step takes without workers beside it, where that was tried.
    """

    cores: float
    step_cores: float
    threads: int
    alone: StepAlone | None = None


@dataclass(frozen=True)
class Alone:
    """Costs without contention, seconds a batch: CPU work and waiting of making it, and the step; cores of the step.

    tried: what is known of its parallel part by trials.
    """

    cpu: Floats
    idle: Floats
    consume: Floats
    cores: Cores
    tried: StepAlone | None = None


@dataclass(frozen=True)
class Shape:
    """Of the recording: its settings, batches in a pass, passes."""

    settings: Settings
    length: int
    passes: int


def as_recorded(costs: BatchCosts, consume: Floats, machine: Machine, case: Case) -> Alone:
    """Without workers nothing was shared: batches and steps took turns; in a worker a batch costs a little more."""
    made = costs.fetch + costs.collate
    cores = Cores(machine.cores, machine.step_cores, machine.threads, COUPLING[case])
    return Alone(costs.cpu * MOVED[case], (made - costs.cpu) * MOVED[case], consume, cores)


def undone(costs: BatchCosts, consume: Floats, machine: Machine, shape: Shape, case: Case) -> Alone:
    """Costs for which the simulation of the recorded settings gives the recorded times.

    Of making a batch the CPU time is known; what else it took is waiting, for its data or for a core. Of a step, too:
    alone, it takes that without what its threads spin in less time on more cores, at most one a thread. How much less
    is searched; for each answer, batches wait for their data only as long as contention leaves to be explained.
    Where the step was tried alone, what workers cost it is searched instead.
    """
    if machine.alone is not None and machine.threads > 1 and consume.mean() > 0:
        return _Fit(costs, consume, machine, shape, case).with_trial(machine.alone)
    recorded = float(consume.mean())
    fewest_s = machine.step_cores * recorded / max(min(machine.threads, machine.cores), 1.0) / _SPIN
    fastest = min(recorded, max(fewest_s, _LEAST * recorded))
    fit = _Fit(costs, consume, machine, shape, case)
    tried = [fit.with_step(float(step)) for step in np.linspace(fastest, recorded, _TRIED)]
    best = min(tried, key=lambda each: each[0])
    between = (recorded - fastest) / (_TRIED - 1) / 2
    if between > 0:
        middle = float(best[1].consume.mean())
        tried += [fit.with_step(min(recorded, max(fastest, middle + way * between))) for way in (-1, 1)]
    return min(tried, key=lambda each: each[0])[1]


@dataclass(frozen=True)
class _Fit:
    costs: BatchCosts
    consume: Floats
    machine: Machine
    shape: Shape
    case: Case

    def with_step(self, step: float) -> tuple[float, Alone]:
        """How far off the simulation is when the mean step takes `step` seconds alone, and all costs then."""
        made = self.costs.fetch + self.costs.collate
        rest = np.maximum(made - self.costs.cpu, 0.0)
        recorded = float(self.consume.mean())
        waiting, spin = 0.0, 1.0
        for _ in range(_FITTED):
            alone = self._costs_with(rest * waiting, step, spin)
            times = repeated(alone, self.shape, hand_over(HAND_OVER_S, self.case, False), _FIT_BATCHES)
            spin = times.spin
            missing = float(made.mean()) - float(times.make.mean())
            waiting = min(1.0, max(0.0, waiting + missing / max(float(rest.mean()), 1e-9)))
        off = abs(missing) / max(float(made.mean()), 1e-9)
        return off + abs(float(times.consume.mean()) / recorded - 1 if recorded > 0 else 0.0), alone

    def with_trial(self, tried: StepAlone) -> Alone:
        """The step with its operators as they were tried, on cores where their regions are held up as was recorded."""
        made = self.costs.fetch + self.costs.collate
        idle = np.maximum(made - self.costs.cpu, 0.0)
        recorded = float(self.consume.mean())
        operators = min(tried.share * recorded, tried.operators_s * TRIED[self.case])
        rest, waiting, held, turns = (1 - tried.share) * recorded, 0.0, 1.0, 1.0
        for _ in range(_HELD_FITTED):
            step = max(rest / turns + operators, _LEAST * recorded)
            used = 1 + (self.machine.threads - 1) * min(1.0, operators / step)
            cores = Cores(self.machine.cores, used, self.machine.threads, COUPLING[self.case], held)
            alone = Alone(self.costs.cpu, idle * waiting, self.consume * (step / recorded), cores, tried)
            times = repeated(alone, self.shape, hand_over(HAND_OVER_S, self.case, False), _FIT_BATCHES)
            taken = float(times.consume.mean())
            missing = float(made.mean()) - float(times.make.mean())
            waiting = min(1.0, max(0.0, waiting + missing / max(float(idle.mean()), 1e-9)))
            turns = _turns(alone, times, self.shape)
            parallel = max(taken - rest, 1e-9)
            held = min(_HELD_MOST, max(1.0, held * max(recorded - rest, 1e-9) / parallel))
        return alone

    def _costs_with(self, idle: Floats, step: float, spin: float) -> Alone:
        recorded = float(self.consume.mean())
        consume = self.consume * (step / recorded) if recorded > 0 else self.consume
        used = self.machine.step_cores * recorded / step / spin if step > 0 else 1.0
        used = min(used, max(1.0, min(self.machine.threads, self.machine.cores)))
        cores = Cores(self.machine.cores, used, self.machine.threads, COUPLING[self.case])
        return Alone(self.costs.cpu, idle, consume, cores)


def _turns(alone: Alone, times: PassTimes, shape: Shape) -> float:
    """How many times longer one thread of the step takes, beside as many batches as were in the making on average."""
    making = float(times.make.sum()) / max(times.total_s, 1e-9)
    busy = min(shape.settings.num_workers, round(making))
    work = float((alone.cpu + alone.idle).mean())
    share = float(alone.cpu.mean()) / work if work > 0 else 1.0
    return alone.cores.stretch("taking", [share] * busy).loop


def with_threads(alone: Alone, count: int, case: Case) -> Alone:
    """The step with its parallel regions on fewer threads than it had: each takes longer, by what they shared out."""
    cores = alone.cores
    if count >= cores.threads or cores.step <= 1:
        return alone
    parallel = min(1.0, (cores.step - 1) / (cores.threads - 1))
    region = max(1.0, SCALES[case] * cores.threads / count)
    if alone.tried is not None:
        region = alone.tried.region(cores.threads, count)
    longer = 1 - parallel + parallel * region
    used = (1 - parallel + parallel * region * count) / longer
    return replace(alone, consume=alone.consume * longer, cores=replace(cores, step=used, threads=count, _known={}))


def repeated(alone: Alone, shape: Shape, hand_over: HandOver, most: int = SIMULATED) -> PassTimes:
    """One pass after the other, with the recorded batches in their order, until enough are simulated."""
    length = min(shape.length, most)
    parts = []
    for number in range(min(max(1, shape.passes), max(1, most // shape.length))):
        begin = number * length
        cpu, idle, consume = (_part(each, begin, length) for each in (alone.cpu, alone.idle, alone.consume))
        parts.append(simulate(cpu, idle, consume, shape.settings, alone.cores, hand_over))
    return PassTimes(
        np.concatenate([part.wait for part in parts]),
        np.concatenate([part.consume for part in parts]),
        np.concatenate([part.make for part in parts]),
        [batch for part in parts for batch in part.order],
        float(np.mean([part.spin for part in parts])),
    )


def hand_over(take_s: float, case: Case, bare: bool, lock_s: float | None = None) -> HandOver:
    """lock_s: what a thread was measured to wait for the lock while batches are made; None: not known.

    `bare`: in a run without slowprobe, which while it samples makes workers give up the interpreter lock at once."""
    take = take_s * HAND_OVER[case]
    waits_s = LOCK_S[case] if lock_s is None else lock_s * ASKED[case]
    return HandOver(take, take * GIVE, waits_s * (1.0 if bare else UNSAMPLED))


def _part(sequence: Floats, begin: int, length: int) -> Floats:
    """`length` of a sequence that repeats itself, from `begin` on."""
    return np.take(sequence, np.arange(begin, begin + length), mode="wrap")

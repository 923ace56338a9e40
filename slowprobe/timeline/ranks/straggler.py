"""Names the rank that the others wait for, where the recording can carry that; says why not where it cannot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.ranks.facts import Straggler
from slowprobe.timeline.ranks.matching import Matching
from slowprobe.timeline.ranks.waiting import Waits
from slowprobe.trace.reader import MISSING, Bools, Ints

COVERED = 0.5
"""Of the time in collectives after the first, what must be found on all ranks: else the rest could say otherwise."""
MIN_LOST = 0.02
"""Of the ranks' time: below, nobody would feel the straggler's going, and uneven clocks can look like one."""
MAJORITY = 0.5
"""Of the time lost, what one rank must cause: else mending another one would win more."""
CAUSE = 0.8
"""Of what the straggler spends more than the others, what one thing must cover to be called the cause."""
CHANCE = 0.05
"""How likely the leading rank may lead in so many steps if each step's last rank were drawn by lot."""


_WORDS = {
    "compute": "computing",
    "copy": "copying",
    "data": "waiting for data",
    "python": "in Python and the framework, between launches",
    "launch": "in launch calls",
    "allocator": "allocating memory",
    "off_step": "on work between steps",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be judged: columns are `ranks`, rows the collectives."""

    ranks: Sequence[int]
    world_size: int
    matching: Matching
    waits: Waits
    collective_ns: int
    """Time of all ranks in collectives, matched or not."""
    span_ns: Ints
    """[rank]"""
    work_ns: Sequence[Mapping[str, float]]
    """[rank]: see `RankRow.work_ns`."""


def judge(scene: Scene) -> Straggler:
    """The straggler, or none with the reason."""
    if not scene.ranks:
        return _nobody("No trace shows anything that ran on a device, so nothing tells who waits.")
    if len(scene.ranks) < 2:
        return _nobody("Only one rank was recorded.")
    if not len(scene.matching):
        return _nobody("No collective of these traces can be found on several ranks, so nothing tells who waits.")
    first = openings(scene.matching, scene.waits)
    judged = scene.matching.complete & ~first
    if not scene.matching.complete.any():
        here, all_ranks = len(scene.ranks), scene.world_size
        if here >= all_ranks:
            return _nobody("No collective was found on every rank of its group, so whoever comes last may be missing.")
        return _nobody(
            f"{here} of {all_ranks} ranks were recorded, and no group of ranks is complete: whoever comes last may be "
            "among the others."
        )
    suffered = scene.waits.suffered_ns[judged]
    lost = int(suffered.sum())
    if not lost:
        return _nobody("No rank waits for another in the collectives that can be judged.")
    caused = np.zeros(len(scene.ranks), dtype=np.int64)
    np.add.at(caused, scene.waits.last[judged], suffered.sum(axis=1))
    leading = int(caused.argmax())
    share = float(caused[leading] / lost)
    lost_share = lost / max(1, int(scene.span_ns.sum()))
    steps, led = _steps(scene, judged, leading)
    lengths = scene.waits.waiting_ns + scene.waits.transfer_ns
    covered = int(lengths[judged].sum()) / max(1, scene.collective_ns - int(lengths[first].sum()))
    doubt = _doubt(scene, covered, caused, lost_share, steps, led)
    mine = judged & (scene.waits.last == leading)
    cause, excess_ns = _excess(scene, leading)
    return Straggler(
        rank=None if doubt else scene.ranks[leading],
        leading=scene.ranks[leading],
        share=share,
        lost_share=lost_share,
        ahead_ns=int(scene.waits.ahead_ns[mine].sum()),
        cause=cause,
        excess_ns=excess_ns,
        reason=doubt
        or f"{share:.0%} of the time that ranks spend waiting ({lost_share:.1%} of their time) is for rank "
        f"{scene.ranks[leading]}, which costs most in {led} of {_count(steps)}.{_why(cause, excess_ns)}",
    )


def _why(cause: str | None, excess_ns: float) -> str:
    if cause not in _WORDS:
        return ""
    return f" In a step it spends {excess_ns / 1e6:.3g} ms more than the others {_WORDS[cause]}."


def _excess(scene: Scene, leading: int) -> tuple[str | None, float]:
    """What the leading rank spends more on than the median of the others, in ns a step."""
    mine = scene.work_ns[leading]
    others = [work for column, work in enumerate(scene.work_ns) if column != leading]
    more = {what: ns - float(np.median([work.get(what, 0.0) for work in others])) for what, ns in mine.items()}
    more = {what: ns for what, ns in more.items() if ns > 0}
    total = sum(more.values())
    cause = max(more, key=lambda what: more[what], default=None)
    return (cause, more[cause]) if cause is not None and more[cause] >= CAUSE * total else (None, total)


def openings(matching: Matching, waits: Waits) -> Bools:
    """The first collective of each group: ranks come to it as apart as their recordings began, which costs nothing."""
    first: dict[object, int] = {}
    for place in np.argsort(waits.start_ns, kind="stable").tolist():
        first.setdefault(matching.group[place], place)
    opens = np.zeros(len(matching), dtype=np.bool_)
    opens[list(first.values())] = True
    return opens


def chance(ranks: int, steps: int, led: int) -> float:
    """How likely some rank leads in at least `led` of `steps` where each step draws its leader by lot.

    The upper tail of a binomial distribution with p = 1/ranks, times ranks (Bonferroni's bound), at most 1.
    """
    below: int = ranks ** (steps - 1)  # whole numbers of any size: powers of thousands of ranks are no floats
    tail: int = sum(math.comb(steps, k) * (ranks - 1) ** (steps - k) for k in range(led, steps + 1))
    return min(1.0, tail / below)


def steps_needed(ranks: int) -> int:
    """Steps after which a rank that leads in all of them is no chance any more."""
    return next(steps for steps in range(1, 100) if chance(ranks, steps, steps) <= CHANCE)


def _doubt(scene: Scene, covered: float, caused: Ints, lost_share: float, steps: int, led: int) -> str:
    """Why the leading rank is not named; empty where it is."""
    if lost_share < MIN_LOST:
        return f"Ranks wait for each other for {lost_share:.1%} of their time: too little for a straggler."
    if covered < COVERED:
        return (
            f"Only {covered:.0%} of the time in collectives can be judged: the others were not found on every rank of "
            "their group."
        )
    order = np.argsort(-caused, kind="stable")
    first, second = (scene.ranks[int(i)] for i in order[:2])
    share, next_share = caused[order[0]] / caused.sum(), caused[order[1]] / caused.sum()
    if share <= MAJORITY:
        return (
            f"After the first collective, to which ranks come as apart as their recordings began, {share:.0%} of the "
            f"waiting is for rank {first} and {next_share:.0%} for rank {second}: no one rank holds the others up."
        )
    if chance(len(scene.ranks), steps, led) > CHANCE:
        return (
            f"{share:.0%} of the waiting after the first collective is for rank {first}, but it costs most in {led} of "
            f"{_count(steps)}, which may be chance; {steps_needed(len(scene.ranks))} steps in a row would tell."
        )
    return ""


def _steps(scene: Scene, judged: Bools, leading: int) -> tuple[int, int]:
    """Steps in which anybody waited, and those in which the leading rank caused most; without marks it is one step."""
    sums: dict[int, Ints] = {}
    for place in np.flatnonzero(judged).tolist():
        mine = sums.setdefault(int(scene.matching.step[place]), np.zeros(len(scene.ranks), dtype=np.int64))
        mine[scene.waits.last[place]] += scene.waits.suffered_ns[place].sum()
    if len(sums) > 1:
        sums.pop(MISSING, None)
    by_step = [mine for mine in sums.values() if mine.any()]
    return len(by_step), sum(int(mine.argmax()) == leading for mine in by_step)


def _count(steps: int) -> str:
    return f"{steps} step" if steps == 1 else f"{steps} steps"


def _nobody(reason: str) -> Straggler:
    return Straggler(
        rank=None, leading=None, share=0.0, lost_share=0.0, ahead_ns=0, cause=None, excess_ns=0.0, reason=reason
    )

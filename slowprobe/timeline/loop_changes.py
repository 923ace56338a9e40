"""What an edit changes about the recorded loop: parts of its time, settings of its loaders, threads, steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Factor:
    """What remains of a time, as a range: `best` ≤ `expected` ≤ `worst`; 0 is gone, 1 unchanged."""

    best: float
    expected: float
    worst: float

    def of_part(self, share: float) -> Factor:
        """What remains of a whole of which this remains of a `share`."""
        return Factor(*(1 - share * (1 - each) for each in (self.best, self.expected, self.worst)))


GONE = Factor(0.0, 0.0, 0.05)
UNCHANGED = Factor(1.0, 1.0, 1.0)
NOT_CACHED = Factor(0.0, 0.0, 0.0)


def faster(share: float, times: float) -> Factor:
    """What remains of a cost when `share` of it, a transform for example, becomes `times` as fast."""
    return Factor(1 / times, 1 / times, 1 / times).of_part(share)


def as_measured(left: float, spread: float) -> Factor:
    """What remains of a cost that was tried, up to `spread` less than measured, and up to twice that more."""
    return Factor(left * (1 - spread), left, min(1.0, left * (1 + 2 * spread)))


@dataclass(frozen=True)
class Scale:
    """Change `seconds` of a bucket (its time over the run that the edit affects) to `factor` of it.

    pause: no operator of the step runs meanwhile (Python works, or waits): what follows takes longer for it.
    """

    bucket: str
    scope: str
    seconds: float
    factor: Factor = GONE
    pause: bool = False


@dataclass(frozen=True)
class Reload:
    """Other settings for a loader; None keeps what was recorded.

    fetch, collate: what remains of a batch's cost. cached: the part of the dataset's cost that is gone from the second
    pass on, since items are kept. pin_s: seconds a batch to copy it into pinned memory; without an accelerator torch
    ignores pin_memory, so it neither gains nor costs.
    """

    loader: int
    num_workers: int | None = None
    persistent_workers: bool | None = None
    prefetch_factor: int | None = None
    fetch: Factor = field(default_factory=lambda: UNCHANGED)
    collate: Factor = field(default_factory=lambda: UNCHANGED)
    in_order: bool | None = None
    cached: Factor = field(default_factory=lambda: NOT_CACHED)
    pin_s: float | None = None


@dataclass(frozen=True)
class Threads:
    """So many threads for the operators of the training process, at most as many as it had."""

    count: int


@dataclass(frozen=True)
class Fewer:
    """What remains of the number of training steps; of their batches, and of the waits for them, as much."""

    factor: Factor


Change = Scale | Reload | Threads | Fewer | Any
"""The last: a change of `slowprobe.timeline.graph.changes`, which is about the device."""


def merged(changes: Iterable[Change]) -> list[Reload]:
    """One change for each loader that is changed: costs multiply, the first setting counts."""
    found: dict[int, Reload] = {}
    for change in changes:
        if not isinstance(change, Reload):
            continue
        before = found.get(change.loader)
        found[change.loader] = change if before is None else _both(before, change)
    return list(found.values())


def _both(one: Reload, two: Reload) -> Reload:
    def product(a: Factor, b: Factor) -> Factor:
        return Factor(a.best * b.best, a.expected * b.expected, a.worst * b.worst)

    def more(a: Factor, b: Factor) -> Factor:
        return Factor(max(a.best, b.best), max(a.expected, b.expected), max(a.worst, b.worst))

    return Reload(
        one.loader,
        two.num_workers if one.num_workers is None else one.num_workers,
        two.persistent_workers if one.persistent_workers is None else one.persistent_workers,
        two.prefetch_factor if one.prefetch_factor is None else one.prefetch_factor,
        product(one.fetch, two.fetch),
        product(one.collate, two.collate),
        two.in_order if one.in_order is None else one.in_order,
        more(one.cached, two.cached),
        two.pin_s if one.pin_s is None else one.pin_s,
    )

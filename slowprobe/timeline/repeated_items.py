"""Whether a dataset's items, and what its transforms make of them, come out the same each time they are made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from slowprobe.run.record import Site
from slowprobe.run.worker_records import WHOLE_ITEM, ItemDigests, Transforms
from slowprobe.timeline.recording import Recording
from slowprobe.timeline.worker_facts import workers_of

Digests = dict[int, list[int]]
"""By index of the item."""


@dataclass(frozen=True)
class Repeats:
    """Items that were made at least twice with contents that could be read, and those that were equal each time."""

    compared: int
    equal: int


@dataclass(frozen=True)
class RepeatedItems:
    """Of one loader's dataset: whole items, and the outputs of transforms that are called once an item."""

    items: Repeats
    transforms: dict[tuple[str, Site | None], Repeats]
    """By name and place, as in `TransformTime`."""


def repeated_items(recording: Recording, workers: Iterable[Recording], loader: int) -> RepeatedItems | None:
    """None where nothing was compared."""
    sources = [recording, *(worker for _, worker in workers_of(list(workers), loader))]
    items: Digests = defaultdict(list)
    transforms: dict[tuple[str, Site | None], Digests] = defaultdict(lambda: defaultdict(list))
    for source in sources:
        counted = [record for record in source.run.of(Transforms) if record.loader == loader]
        names = list(zip(counted[-1].names, counted[-1].sites, strict=True)) if counted else []
        for record in source.run.of(ItemDigests):
            if record.loader != loader:
                continue
            for index, transform, digest in zip(record.index, record.transform, record.digest, strict=True):
                if transform == WHOLE_ITEM:
                    items[index].append(digest)
                elif 0 <= transform < len(names):
                    transforms[names[transform]][index].append(digest)
    if not items and not transforms:
        return None
    return RepeatedItems(_repeats(items), {key: _repeats(digests) for key, digests in transforms.items()})


def _repeats(digests: Digests) -> Repeats:
    again = [each for each in digests.values() if len(each) > 1]
    return Repeats(len(again), sum(len(set(each)) == 1 for each in again))

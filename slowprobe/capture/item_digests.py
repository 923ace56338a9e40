"""Digests of a few of a dataset's items, each time they are made, to tell whether they come out the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from slowprobe.capture.batch_digest import UNKNOWN, batch_digest
from slowprobe.capture.batch_log import columns
from slowprobe.capture.loader_settings import batches_in_pass
from slowprobe.run.worker_records import WHOLE_ITEM, ItemDigests

MOST_ITEMS = 16  # of a dataset; the same ones in each pass and in every worker, for they are chosen by their index
MOST_TIMES = 4  # each, in one process

Chosen = frozenset[int]


def chosen_items(loader: Any) -> Chosen:
    """The indices that are looked at, spread over a dataset; none where a loader gives no indices, or no length."""
    try:
        length, size = batches_in_pass(loader), loader.batch_size
        if not length or not size:
            return frozenset()
        stride = max(1, length * size // MOST_ITEMS)
        return frozenset(range(stride // 2, length * size, stride)[:MOST_ITEMS])
    except Exception:  # a subclass that lacks something is still a loader
        return frozenset()


class ItemLog:
    """Looks at the chosen items of the batch being fetched: at the item, and at what each transform made of it.

    A transform is known by its number; its n-th call in a batch is taken to be about the n-th item where it was called
    once an item.
    """

    def __init__(self) -> None:
        self._chosen: dict[int, Chosen] = {}
        self._times: dict[tuple[int, int], int] = {}
        self._loader = 0
        self._index: Sequence[int] = ()
        self._places: frozenset[int] = frozenset()
        self._calls: dict[int, int] = {}
        self._outputs: list[tuple[int, int, int]] = []
        self._rows: dict[int, list[list[int]]] = {}
        self.looking = False
        """Whether the batch being fetched holds an item that is looked at."""

    def choose(self, loader: int, chosen: Chosen) -> None:
        """These items of that loader are looked at."""
        self._chosen[loader] = chosen

    def begin(self, loader: int, index: Any) -> None:
        """A batch is about to be fetched. Never raises."""
        self.looking = False
        chosen = self._chosen.get(loader)
        if not chosen:
            return
        try:
            if chosen.isdisjoint(index):
                return
            self._places = frozenset(place for place, item in enumerate(index) if item in chosen)
            self._loader, self._index, self._calls, self._outputs, self.looking = loader, index, {}, [], True
        except TypeError:  # the sampler gives something else than numbers
            self._chosen[loader] = frozenset()

    def transformed(self, transform: int, output: Any) -> int:
        """A transform has returned; gives the nanoseconds that looking took. Never raises."""
        begin = time.perf_counter_ns()
        call = self._calls.get(transform, 0)
        self._calls[transform] = call + 1
        if call in self._places:
            self._outputs.append((transform, call, batch_digest(output, everywhere=True)))
        return time.perf_counter_ns() - begin

    def made(self, items: Any) -> None:
        """The items of the batch are there, and about to be collated. Never raises."""
        self.looking = False
        if not isinstance(items, list) or len(items) != len(self._index):
            return
        once = {transform for transform, calls in self._calls.items() if calls == len(items)}
        found = [row for row in self._outputs if row[0] in once]
        found += [(WHOLE_ITEM, place, batch_digest(items[place], everywhere=True)) for place in self._places]
        rows = self._rows.setdefault(self._loader, [])
        for transform, place, digest in found:
            if digest != UNKNOWN:
                rows.append([int(self._index[place]), transform, digest])
        for place in self._places:
            self._count(int(self._index[place]))

    def _count(self, item: int) -> None:
        key = self._loader, item
        self._times[key] = self._times.get(key, 0) + 1
        if self._times[key] >= MOST_TIMES:
            self._chosen[self._loader] -= {item}

    def take(self) -> list[ItemDigests]:
        """The records since the last call, from any thread."""
        rows, self._rows = self._rows, {}
        return [ItemDigests(loader=loader, **columns(_COLUMNS, mine)) for loader, mine in rows.items() if mine]


_COLUMNS = ("index", "transform", "digest")

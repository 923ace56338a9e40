"""Which calls of different ranks are one collective: the n-th of its kind, in the same group and the same step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.ranks.calls import ENDS_TOGETHER, CollectiveCalls
from slowprobe.timeline.ranks.identity import Distributed
from slowprobe.trace.reader import MISSING, Bools, Ints

Group = Hashable
"""The members where the trace lists them, else the group's name, else None."""


@dataclass(frozen=True, slots=True)
class OneRank:
    """The collectives of one rank and what its trace says of groups."""

    rank: int
    told: Distributed
    calls: CollectiveCalls


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """One entry a collective, in order of the number of its call; columns of `at` are the ranks as they were given."""

    name: tuple[str, ...]
    group: tuple[Group, ...]
    group_name: tuple[str | None, ...]
    step: Ints
    at: Ints
    """[collective, rank] → place in the calls of that rank; `MISSING` where it takes no part or has no such call."""
    members: Ints
    """How many ranks the group has; `MISSING` where nothing tells."""
    unmatched: int
    """Calls of single ranks without a counterpart."""
    one_sided: int
    """Calls of kinds that do not end together."""

    def __len__(self) -> int:
        return len(self.name)

    @property
    def complete(self) -> Bools:
        """Collectives that were found on every rank of their group."""
        present = (self.at != MISSING).sum(axis=1)
        return np.asarray((self.members != MISSING) & (present >= self.members))

    def chosen(self, keep: Bools, at: Ints) -> Matching:
        """Some of the collectives, with other places."""
        lost = int((self.at != MISSING).sum() - (at[keep] != MISSING).sum())
        rows = np.flatnonzero(keep).tolist()
        return Matching(
            name=tuple(self.name[i] for i in rows),
            group=tuple(self.group[i] for i in rows),
            group_name=tuple(self.group_name[i] for i in rows),
            step=self.step[keep],
            at=at[keep],
            members=self.members[keep],
            unmatched=self.unmatched + lost,
            one_sided=self.one_sided,
        )


_Key = tuple[str, Group, int]


def match(ranks: Sequence[OneRank], world_size: int) -> Matching:
    """Numbers the calls of each kind, group and step on every rank and puts equal numbers together.

    Where ranks have different numbers of them (a recording that began late, a step cut off), it cannot be told which is
    missing: only those ranks are put together that have as many as most.
    """
    places: dict[_Key, dict[int, list[int]]] = {}
    names: dict[_Key, str | None] = {}
    sizes: dict[Group, int] = {None: world_size}
    one_sided = 0
    for column, one in enumerate(ranks):
        members = dict(one.told.groups)
        for place, kind in enumerate(one.calls.name):
            if kind not in ENDS_TOGETHER:
                one_sided += 1
                continue
            name = one.calls.group[place]
            group: Group = (members.get(name) or name) if name is not None else None
            if isinstance(group, tuple):
                sizes[group] = len(group)
            elif group is not None and one.calls.group_size[place] != MISSING:
                sizes[group] = int(one.calls.group_size[place])
            key = (kind, group, int(one.calls.step[place]))
            places.setdefault(key, {}).setdefault(column, []).append(place)
            names.setdefault(key, name)
    found: list[tuple[_Key, list[int]]] = []
    unmatched = 0
    for key, by_rank in places.items():
        count = _most_common(len(mine) for mine in by_rank.values())
        agreeing = {column: mine for column, mine in by_rank.items() if len(mine) == count}
        if len(agreeing) < 2:
            agreeing = {}
        unmatched += sum(len(mine) for column, mine in by_rank.items() if column not in agreeing)
        for number in range(count if agreeing else 0):
            found.append((key, [agreeing[c][number] if c in agreeing else MISSING for c in range(len(ranks))]))
    return Matching(
        name=tuple(key[0] for key, _ in found),
        group=tuple(key[1] for key, _ in found),
        group_name=tuple(names[key] for key, _ in found),
        step=np.array([key[2] for key, _ in found], dtype=np.int64),
        at=np.array([at for _, at in found], dtype=np.int64).reshape(len(found), len(ranks)),
        members=np.array([sizes.get(key[1], MISSING) for key, _ in found], dtype=np.int64),
        unmatched=unmatched,
        one_sided=one_sided,
    )


def times(ranks: Sequence[OneRank], at: Ints, column: str) -> Ints:
    """`start_ns` or `end_ns` of every call, [collective, rank]; 0 where there is none."""
    values = np.zeros(at.shape, dtype=np.int64)
    for number, one in enumerate(ranks):
        there = at[:, number] != MISSING
        values[there, number] = getattr(one.calls, column)[at[there, number]]
    return values


def _most_common(counts: object) -> int:
    tally = Counter(counts)  # type: ignore[call-overload]
    return int(max(tally, key=lambda count: (tally[count], count)))

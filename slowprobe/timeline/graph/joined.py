"""Joins the graphs of several ranks into one: each collective goes on when the last of its ranks has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.graph.nodes import Graph
from slowprobe.trace.reader import MISSING, Bools, Ints

_ROUNDS = 16  # of pushing nodes behind what they wait for, where clocks put them at the same instant
_GRAIN = 4  # places in the order for each ns: a call, what it waits for, and what follows can share one


@dataclass(frozen=True, slots=True)
class Meeting:
    """One collective: the rows of its kernels, by the place of the rank among the graphs."""

    rows: dict[int, int]


def join(graphs: Sequence[Graph], shift_ns: Sequence[int], meetings: Sequence[Meeting]) -> Graph | None:
    """One graph of all ranks, on the clock of the first; None where the recorded order contradicts itself.

    shift_ns: what to add to the times of each graph. A collective is split in two: its rank comes to it, and the
    transfer, which begins when all have come. `row` of the other ranks' nodes is that of the first rank's node that
    does the same work (the n-th of its name), so that a change of rows is one of the program, on all ranks.
    """
    columns = _Columns.of(graphs, shift_ns)
    calls, number = _calls(graphs, columns.first, meetings)
    came_ns, end_ns = columns.start_ns[calls], columns.start_ns[calls] + columns.duration_ns[calls]
    latest_ns = np.full(len(meetings), np.iinfo(np.int64).min)
    np.maximum.at(latest_ns, number, came_ns)
    transfer_ns = np.minimum(latest_ns[number], end_ns)
    count, transfers = len(columns.start_ns), len(columns.start_ns) + np.arange(len(calls))
    waiting, awaited, period_ns = _arrivals(number, calls, transfers, came_ns, transfer_ns)
    after_call = np.arange(count + len(calls))
    after_call[calls] = transfers  # what came after the call comes after its transfer
    joined = columns.with_transfers(calls, transfer_ns, end_ns, after_call, (waiting, awaited, period_ns))
    order = _order(joined, calls, transfers, columns.first)
    return None if order is None else _reordered(graphs[0], joined, order)


@dataclass(slots=True)
class _Columns:
    """The columns of `Graph`, of all ranks, one rank after the other."""

    first: list[int]
    """The first node of each rank, and the number of all nodes."""
    names: tuple[str, ...]
    values: dict[str, Ints]
    waiting: Ints
    awaited: Ints
    period_ns: Ints

    @property
    def start_ns(self) -> Ints:
        return self.values["start_ns"]

    @property
    def duration_ns(self) -> Ints:
        return self.values["duration_ns"]

    @classmethod
    def of(cls, graphs: Sequence[Graph], shift_ns: Sequence[int]) -> _Columns:
        first = np.cumsum([0, *map(len, graphs)]).tolist()
        names, name_id = _names(graphs)

        def column(of: Callable[[Graph], npt.NDArray[Any]], add: Sequence[int] | None = None) -> Ints:
            parts = [of(graph).astype(np.int64) for graph in graphs]
            if add is not None:
                parts = [np.where(part == MISSING, MISSING, part + more) for part, more in zip(parts, add, strict=True)]
            return np.concatenate(parts)

        threads = np.cumsum([0, *(int(graph.thread.max(initial=MISSING)) + 1 for graph in graphs)]).tolist()[:-1]
        starts = [graph.start_ns + shift for graph, shift in zip(graphs, shift_ns, strict=True)]
        values = {
            "kind": column(lambda graph: graph.kind),
            "thread": column(lambda graph: graph.thread, threads),
            "class_id": column(lambda graph: graph.class_id),
            "copy_kind": column(lambda graph: graph.copy_kind),
            "name_id": name_id,
            "start_ns": np.concatenate(starts),
            "duration_ns": column(lambda graph: graph.duration_ns),
            "operator_ns": column(lambda graph: graph.operator_ns),
            "before": column(lambda graph: graph.before, first[:-1]),
            "gap_ns": column(lambda graph: graph.gap_ns),
            "launch": column(lambda graph: graph.launch, first[:-1]),
            "lag_ns": column(lambda graph: graph.lag_ns),
            "rank": np.repeat(np.arange(len(graphs)), np.diff(first)),
        }
        values["row"] = _same_work(graphs[0], values, first)
        edges = [column(lambda graph: graph.waiting, first[:-1]), column(lambda graph: graph.awaited, first[:-1])]
        return cls(first, names, values, edges[0], edges[1], column(lambda graph: graph.period_ns))

    def with_transfers(
        self, calls: Ints, transfer_ns: Ints, end_ns: Ints, after_call: Ints, arrivals: tuple[Ints, Ints, Ints]
    ) -> _Columns:
        """The calls end when their rank has come; the transfers are nodes of their own, behind all others."""
        values = {name: np.concatenate([column, column[calls]]) for name, column in self.values.items()}
        added = len(self.start_ns)
        for name in ("before", "launch"):
            values[name][added:] = MISSING
        values["before"] = np.append(after_call, MISSING)[values["before"]]
        values["before"][added:] = calls
        for name in ("gap_ns", "lag_ns", "operator_ns"):
            values[name][added:] = 0
        values["start_ns"][added:] = transfer_ns
        values["duration_ns"][calls] = 0
        values["duration_ns"][added:] = end_ns - transfer_ns
        values["row"][calls] = MISSING
        waiting, awaited, period_ns = arrivals
        return replace(
            self,
            values=values,
            waiting=np.concatenate([self.waiting, waiting]),
            awaited=np.concatenate([after_call[self.awaited], awaited]),
            period_ns=np.concatenate([self.period_ns, period_ns]),
        )


def _names(graphs: Sequence[Graph]) -> tuple[tuple[str, ...], Ints]:
    number: dict[str, int] = {}
    ids = []
    for graph in graphs:
        table = np.array([number.setdefault(name, len(number)) for name in graph.names] + [MISSING], dtype=np.int64)
        ids.append(table[graph.name_id])
    return tuple(number), np.concatenate(ids)


def _same_work(graph: Graph, values: dict[str, Ints], first: Sequence[int]) -> Ints:
    """Per node the row of the first rank's n-th node of the same kind and name; `MISSING` where there is none."""
    key = values["name_id"] * (1 << 8) + values["kind"]
    nth = np.empty_like(key)
    for begin, end in pairwise(first):
        order = np.argsort(key[begin:end], kind="stable")
        of_key = key[begin:end][order]
        starts = np.searchsorted(of_key, of_key)
        nth[begin + order] = np.arange(end - begin) - starts
    sortable = key * (1 << 40) + nth
    own = np.flatnonzero(graph.row != MISSING)
    own = own[np.argsort(sortable[own])]
    if not len(own):
        return np.full_like(key, MISSING)
    at = np.minimum(np.searchsorted(sortable[own], sortable), len(own) - 1)
    row = np.where(sortable[own][at] == sortable, graph.row[own][at], MISSING)
    row[: len(graph)] = graph.row
    return row


def _calls(graphs: Sequence[Graph], first: Sequence[int], meetings: Sequence[Meeting]) -> tuple[Ints, Ints]:
    """The nodes of the collectives, and which each belongs to."""
    nodes = []
    for graph in graphs:
        on_device = np.flatnonzero(graph.on_device)
        table = np.full(int(graph.row.max(initial=MISSING)) + 1, MISSING, dtype=np.int64)
        table[graph.row[on_device]] = on_device
        nodes.append(table)
    pairs = [
        (first[place] + int(nodes[place][row]), number)
        for number, meeting in enumerate(meetings)
        for place, row in meeting.rows.items()
    ]
    calls, number = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return calls, number


def _arrivals(number: Ints, calls: Ints, transfers: Ints, came_ns: Ints, transfer_ns: Ints) -> tuple[Ints, Ints, Ints]:
    """Edges from each transfer to all that come to it: waiting, awaited, period_ns."""
    waiting, awaited, period_ns = [], [], []
    for one in range(int(number.max(initial=MISSING)) + 1):
        mine = np.flatnonzero(number == one)
        here, there = np.repeat(mine, len(mine)), np.tile(mine, len(mine))
        here, there = here[here != there], there[here != there]
        waiting.append(transfers[here])
        awaited.append(calls[there])
        # Where clocks differ by a little, a transfer seems to begin before the last has come.
        period_ns.append(np.minimum(transfer_ns[here] - came_ns[there], 0))
    none = [np.zeros(0, dtype=np.int64)]
    return np.concatenate(waiting or none), np.concatenate(awaited or none), np.concatenate(period_ns or none)


def _order(joined: _Columns, calls: Ints, transfers: Ints, first: Sequence[int]) -> Ints | None:
    """By start, and everything behind what it depends on."""
    values, count = joined.values, first[-1]
    place = np.arange(count + len(calls)).astype(np.float64)
    place[transfers] = calls + 0.5
    key = values["start_ns"] * _GRAIN
    behind = np.flatnonzero(np.isin(values["before"][:count], transfers))
    for _ in range(_ROUNDS):
        recorded = key.copy()
        for begin, end in pairwise(first):
            key[begin:end] = np.maximum.accumulate(key[begin:end])
        key[transfers] = np.maximum(key[transfers], key[calls])
        # A transfer comes after all who come to it, those that come at that very instant among them.
        late = np.isin(joined.waiting, transfers)
        np.maximum.at(key, joined.waiting[late], key[joined.awaited[late]] + 1)
        own = np.isin(joined.awaited, transfers)
        np.maximum.at(key, joined.waiting[own], key[joined.awaited[own]] + 1)
        np.maximum.at(key, behind, key[values["before"][behind]] + 1)
        if np.array_equal(recorded, key):
            break
    order = np.lexsort((place, key))
    return order if _holds(joined, order) else None


def _holds(joined: _Columns, order: Ints) -> bool:
    at = np.empty(len(order), dtype=np.int64)
    at[order] = np.arange(len(order))

    def after(nodes: Ints, others: Ints) -> Bools:
        known = others != MISSING
        return np.asarray(at[nodes[known]] > at[others[known]])

    nodes = np.arange(len(order))
    return bool(
        after(nodes, joined.values["before"]).all()
        and after(nodes, joined.values["launch"]).all()
        and after(joined.waiting, joined.awaited).all()
    )


def _reordered(graph: Graph, joined: _Columns, order: Ints) -> Graph:
    new = np.full(len(order) + 1, MISSING, dtype=np.int64)
    new[order] = np.arange(len(order))
    values: dict[str, Any] = {name: column[order] for name, column in joined.values.items()}
    before, launch = new[values.pop("before")], new[values.pop("launch")]
    edges = np.argsort(new[joined.waiting], kind="stable")
    waiting, awaited = new[joined.waiting][edges], new[joined.awaited][edges]
    period_ns = joined.period_ns[edges]
    start_ns, end_ns = values["start_ns"], values["start_ns"] + values["duration_ns"]
    origin_ns = int(start_ns.min()) if len(start_ns) else 0
    ready_ns = np.where(before == MISSING, origin_ns, end_ns[before]) + values["gap_ns"]
    launched = launch != MISSING
    ready_ns[launched] = np.maximum(ready_ns[launched], start_ns[launch[launched]] + values["lag_ns"][launched])
    np.maximum.at(ready_ns, waiting, end_ns[awaited] + period_ns)
    small: dict[str, Any] = {name: values.pop(name).astype(np.int8) for name in ("kind", "class_id", "copy_kind")}
    return replace(
        graph,
        **small,
        **values,
        names=joined.names,
        before=before,
        launch=launch,
        delay_ns=start_ns - ready_ns,
        waiting=waiting,
        awaited=awaited,
        period_ns=period_ns,
        origin_ns=origin_ns,
    )

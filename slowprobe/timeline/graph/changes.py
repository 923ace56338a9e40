"""What a replay of the graph can change: faster device work, less host work, fewer waits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.rows import COPIES, KINDS
from slowprobe.timeline.graph.host import union
from slowprobe.timeline.graph.kinds import DATA, HOST, HOST_KINDS, LAUNCH, SYNC
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.graph.schedule import Edit
from slowprobe.timeline.loop_changes import GONE, Factor
from slowprobe.timeline.uncontended import Case
from slowprobe.trace.reader import MISSING, Bools

_TO_DEVICE = tuple(COPIES.index(kind) for kind in ("h2d_pageable", "h2d_pinned"))
_TO_HOST = tuple(COPIES.index(kind) for kind in ("d2h_pageable", "d2h_pinned"))
PARTLY = Factor(0.0, 0.0, 0.2)
_TOGETHER_NS = 50_000  # between a copy and the synchronisation that the same operator makes after it
_FRAMEWORK = ("python", "operator")
_GAPS = {"data": ("data",), "python": _FRAMEWORK, "launch": ("launch",), "allocator": ("allocator",)}


class Change(Protocol):
    """Alters the times of a graph."""

    def apply(self, edit: Edit, case: Case) -> None:
        """Makes the change, as it is expected to turn out in this case."""


@dataclass(frozen=True)
class Faster:
    """Device rows take `left` of their time: `faster(1, 2)` makes them twice as fast.

    what: a class of kernels, a kind of device work, a test of the name, or rows of the trace. Rows can be calls too.
    Raises `ValueError` for a class that does not exist.
    """

    what: str | Callable[[str], bool] | Collection[int]
    left: Factor

    def apply(self, edit: Edit, case: Case) -> None:
        """Scales the durations."""
        edit.scale(self._nodes(edit.graph), getattr(self.left, case))

    def _nodes(self, graph: Graph) -> Bools:
        if callable(self.what):
            fits = np.fromiter((self.what(name) for name in graph.names), dtype=np.bool_, count=len(graph.names))
            return graph.on_device & fits[graph.name_id] if len(fits) else graph.on_device
        if not isinstance(self.what, str):
            return _of_rows(graph, self.what)
        if self.what in CLASSES:
            return np.asarray(graph.class_id == CLASSES.index(self.what))
        if self.what in KINDS:
            return graph.is_kind(self.what)
        raise ValueError(f"no class of device work: {self.what}")


@dataclass(frozen=True)
class HostFaster:
    """Host work takes `left` of its time. of: python, operator, launch, allocator, data."""

    left: Factor
    of: tuple[str, ...] = ("python", "operator", "launch")

    def apply(self, edit: Edit, case: Case) -> None:
        """Scales the durations; of batches that workers make, their supply."""
        graph, left = edit.graph, getattr(self.left, case)
        between = (graph.kind == HOST) & edit.inside
        for part in self.of:
            if part == "python":
                edit.own_ns[between] *= left
            elif part == "operator":
                edit.operator_ns[between] *= left
            elif part in HOST_KINDS[1:]:
                edit.scale(graph.is_kind(part), left)
            else:
                raise ValueError(f"no part of host work: {part}")
        if "data" in self.of:
            edit.period_ns[(edit.inside & (graph.kind == DATA))[graph.waiting]] *= left


@dataclass(frozen=True)
class NoGap:
    """The host work behind idle gaps of one cause is gone: data, python, launch, allocator, off_step."""

    cause: str
    left: Factor = GONE

    def apply(self, edit: Edit, case: Case) -> None:
        """Scales that work wherever it is; where it was hidden behind the device, nothing comes of it."""
        if self.cause == "off_step":
            edit.scale(edit.off_step & ~edit.graph.is_kind("sync"), getattr(self.left, case))
        elif self.cause in _GAPS:
            HostFaster(self.left, _GAPS[self.cause]).apply(edit, case)
        else:
            raise ValueError(f"not work of the host: {self.cause}")


@dataclass(frozen=True)
class NoSync:
    """The host does not wait in these calls (rows of the trace; all synchronising calls without any).

    A copy to the host right in front of one (`.item()` is both) no longer holds up the host either.
    """

    rows: Collection[int] | None = None
    left: Factor = GONE

    def apply(self, edit: Edit, case: Case) -> None:
        """Cuts what these calls waited for, and leaves `left` of the calls themselves."""
        graph = edit.graph
        waits = graph.kind == SYNC
        if self.rows is not None:
            waits = _of_rows(graph, self.rows) & (waits | graph.is_kind("allocator"))
        waits &= edit.inside
        copies = _calls_of(graph, np.isin(graph.copy_kind, _TO_HOST)) & edit.inside & (graph.kind == SYNC)
        for node in np.flatnonzero(waits).tolist():
            copy = _neighbour(graph, node, graph.before.data)
            if copy != MISSING and copies[copy]:
                waits[copy] = True
        edit.unwaited |= waits
        edit.scale(waits, getattr(self.left, case))


@dataclass(frozen=True)
class OverlapCopies:
    """Copies to the device run beside the kernels: from pinned memory, ahead of time, on a stream of their own.

    rows: of the trace; all copies to the device without any. left: how much of each still holds up its stream.
    """

    rows: Collection[int] | None = None
    left: Factor = PARTLY

    def apply(self, edit: Edit, case: Case) -> None:
        """Takes the copies out of their streams and the waits for them off the host; the link keeps its speed."""
        graph = edit.graph
        copies = np.isin(graph.copy_kind, _TO_DEVICE) & edit.inside
        if self.rows is not None:
            copies &= _of_rows(graph, self.rows)
        links_ns = np.bincount(graph.rank[copies], graph.duration_ns[copies])
        edit.floor_ns = max(edit.floor_ns, int(links_ns.max(initial=0)))
        edit.scale(copies, getattr(self.left, case))
        edit.lag_ns[copies] = np.minimum(edit.lag_ns[copies], graph.latency_ns)
        calls = _calls_of(graph, copies) & edit.inside
        edit.limit(calls, graph.launch_cost_ns)  # pageable memory is first copied to pinned memory, in the call
        waits = calls & (graph.kind == SYNC)
        after = _after(graph)
        for node in np.flatnonzero(calls).tolist():
            if (sync := _neighbour(graph, node, after)) != MISSING:
                waits[sync] = edit.inside[sync]
        edit.unwaited |= waits
        edit.scale(waits & ~calls, 0.0)


@dataclass(frozen=True)
class FewerLaunches:
    """Launches come out of a recorded graph: each costs the host so much, and the work between them nothing.

    rows: of the trace, the device work whose launches these are; all launches without any. What lies between two of
    them stays where the host also waits, asks for data or launches something else there.
    """

    best_ns: float
    expected_ns: float
    worst_ns: float
    rows: Collection[int] | None = None

    def apply(self, edit: Edit, case: Case) -> None:
        """Limits the launches and empties what lies between them."""
        graph = edit.graph
        launches = (graph.kind == LAUNCH) & edit.inside
        if self.rows is not None:
            launches &= _launching(graph, graph.on_device & _of_rows(graph, self.rows))
        edit.limit(launches, getattr(self, f"{case}_ns"))
        edit.scale(_between(graph, launches), 0.0)


@dataclass(frozen=True)
class OfRank:
    """A change that only one rank makes: its place in the joined graph."""

    rank: int
    change: Change

    def apply(self, edit: Edit, case: Case) -> None:
        """Makes the change to that rank's nodes."""
        everywhere = edit.inside
        edit.inside = everywhere & (edit.graph.rank == self.rank)
        self.change.apply(edit, case)
        edit.inside = everywhere


@dataclass(frozen=True)
class NoOperators:
    """Operators of the main thread are gone: (start, end) of each on the trace's clock; the calls in them stay."""

    spans_ns: Collection[tuple[int, int]]
    left: Factor = GONE

    def apply(self, edit: Edit, case: Case) -> None:
        """Takes their time out of the host's work around them."""
        graph = edit.graph
        nodes = np.flatnonzero((graph.thread == 0) & (graph.kind == HOST) & edit.inside & (graph.operator_ns > 0))
        start_ns, end_ns = np.array(sorted(self.spans_ns), dtype=np.int64).reshape(-1, 2).T
        spans = union(start_ns, end_ns)
        within_ns = spans.covered_ns(graph.end_ns[nodes]) - spans.covered_ns(graph.start_ns[nodes])
        part = np.minimum(within_ns / graph.operator_ns[nodes], 1.0)
        edit.operator_ns[nodes] *= 1 - part * (1 - getattr(self.left, case))


def _of_rows(graph: Graph, rows: Iterable[int]) -> Bools:
    return np.asarray(np.isin(graph.row, np.fromiter(rows, dtype=np.int64)) & (graph.row != MISSING))


def _after(graph: Graph) -> Sequence[int]:
    """Per node of the host: the next one on its thread."""
    after = np.full(len(graph), MISSING, dtype=np.int64)
    nodes = np.flatnonzero((graph.thread != MISSING) & (graph.before != MISSING))
    after[graph.before[nodes]] = nodes
    return after.data


def _neighbour(graph: Graph, node: int, step: Sequence[int]) -> int:
    """The synchronising call next to one on its thread, with at most a little work in between."""
    near = step[node]
    if near != MISSING and graph.kind[near] == HOST and graph.duration_ns[near] <= _TOGETHER_NS:
        near = step[near]
    return near if near != MISSING and graph.kind[near] == SYNC else MISSING


def _launching(graph: Graph, work: Bools) -> Bools:
    """The nodes that launched this work of the device."""
    launching = np.zeros(len(graph), dtype=np.bool_)
    launching[graph.launch[work & (graph.launch != MISSING)]] = True
    return launching


def _calls_of(graph: Graph, copies: Bools) -> Bools:
    """The nodes of the calls that launched these copies, and of the wait for the copy in those that block."""
    rows = graph.row[_launching(graph, copies)]
    rows = rows[rows != MISSING]
    return np.asarray(((graph.kind == LAUNCH) | (graph.kind == SYNC)) & np.isin(graph.row, rows))


def _between(graph: Graph, launches: Bools) -> Bools:
    """Host work and calls with such a launch before and after them on their thread, and no wait in between."""
    chosen = np.zeros(len(graph), dtype=np.bool_)
    work = graph.is_kind("host", "allocator")
    for thread in range(int(graph.thread.max(initial=MISSING)) + 1):
        nodes = np.flatnonzero(graph.thread == thread)
        barriers = np.cumsum(
            np.isin(graph.kind[nodes], (SYNC, DATA)) | ((graph.kind[nodes] == LAUNCH) & ~launches[nodes])
        )
        at = np.flatnonzero(launches[nodes])
        if not len(at):
            continue
        place = np.searchsorted(at, np.arange(len(nodes)))
        inner = (place > 0) & (place < len(at))
        before, after = at[np.maximum(place - 1, 0)], at[np.minimum(place, len(at) - 1)]
        chosen[nodes] = inner & (barriers[before] == barriers[after]) & work[nodes]
    return chosen

"""The nodes of a graph as chains that can be summed up at once, so that only the links between them are walked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slowprobe.trace.reader import MISSING, Bools, Ints

if TYPE_CHECKING:
    from slowprobe.timeline.graph.nodes import Graph

_NEVER = -(1 << 61)  # earlier than any time, with room to add one
_MOST_SHIFT = 1 << 62
_CHUNK = 1 << 14  # links turned into Python numbers at a time: all of them would take more memory than the trace
_MANY = 4  # one in so many edges holding something up: then all are looked at, once
_TRIES = 6  # then all edges count: as quick as several more tries


@dataclass(frozen=True, slots=True)
class Times:
    """What a replay takes every node to need, and whether each further edge still holds."""

    gap_ns: Ints
    lag_ns: Ints
    delay_ns: Ints
    duration_ns: Ints
    period_ns: Ints
    stays: Bools


class Paths:
    """Per graph: the nodes by thread or stream, each behind the one in front of it."""

    def __init__(self, graph: Graph) -> None:
        count = len(graph)
        index = np.arange(count, dtype=np.int32)
        behind = np.flatnonzero(graph.before != MISSING)
        first = np.full(count, MISSING, dtype=np.int32)
        first[graph.before[behind[::-1]]] = behind[::-1]
        self.follows: Bools = np.zeros(count, dtype=np.bool_)
        """Whether a node is the first behind the one in front of it: others begin paths of their own."""
        self.follows[behind] = first[graph.before[behind]] == behind
        root = np.where(self.follows, graph.before, index).astype(np.int32)
        while not np.array_equal(further := root[root], root):
            root = further
        self.order = np.argsort(root, kind="stable").astype(np.int32)
        """Path after path."""


class Chains:
    """Paths cut where a further edge comes in, and on the device also where one goes out.

    Within a chain of the host, every node is a fixed time behind the first. On the device a node starts when the one in
    front of it is over or its launch is: the chain's end is the largest of a few sums, one for each chain of the host
    that launches into it.
    """

    def __init__(self, graph: Graph, paths: Paths, edges: Ints) -> None:
        """edges: which of the graph's further edges count."""
        self._graph, self._order, self._edges = graph, paths.order, edges
        waiting, awaited = graph.waiting[edges], graph.awaited[edges]
        joined = paths.follows.copy()
        joined[waiting] = False
        ends = np.zeros(len(graph), dtype=np.bool_)
        ends[awaited] = True
        ends[graph.before[~joined & (graph.before != MISSING)]] = True
        joined &= ~(ends & graph.on_device)[graph.before]
        opens = ~joined[self._order]
        self._first_at = np.flatnonzero(opens)
        self._last_at = np.append(self._first_at[1:], len(graph)) - 1
        self._first, self._last = self._order[self._first_at], self._order[self._last_at]
        self._on_device = graph.on_device[self._first]
        # By number, each chain comes after all that it depends on: a device row depends on launches up to its own.
        by_need = np.argsort(np.where(self._on_device, self._last, self._first), kind="stable")
        number = np.empty(len(by_need), dtype=np.int32)
        number[by_need] = np.arange(len(by_need))
        self._chain_at = np.repeat(number, np.diff(np.append(self._first_at, len(graph))))
        self._chain = np.empty(len(graph), dtype=np.int32)
        self._chain[self._order] = self._chain_at
        self._first_at, self._on_device = self._first_at[by_need], self._on_device[by_need]
        self._first, self._last = self._first[by_need], self._last[by_need]
        self._behind = np.flatnonzero(graph.before[self._first] != MISSING).astype(np.int32)
        self._source = np.concatenate([graph.before[self._first[self._behind]], awaited]).astype(np.int32)
        self._target = np.concatenate([self._behind, self._chain[waiting]]).astype(np.int32)
        self._launched = np.flatnonzero(graph.launch != MISSING).astype(np.int32)
        pair = self._chain[self._launched].astype(np.int64) * len(by_need) + self._chain[graph.launch[self._launched]]
        self._launched = self._launched[np.argsort(pair, kind="stable")]
        pair.sort()
        self._pairs = np.flatnonzero(np.diff(pair, prepend=MISSING))
        pair = pair[self._pairs]
        links_to = np.concatenate([self._target, (pair // len(by_need)).astype(np.int32)])
        self._walk = np.argsort(links_to, kind="stable").astype(np.int32)
        self._to = links_to[self._walk]
        self._from = np.concatenate([self._chain[self._source], (pair % len(by_need)).astype(np.int32)])[self._walk]

    def placed(self, times: Times) -> tuple[Ints, Ints]:
        """Start and end of every node."""
        graph, launched = self._graph, self._launched
        own_ns = times.delay_ns + times.duration_ns
        # Times since the chain's first node could begin, with nothing but the nodes before each in the way.
        end_ns = self._since_first(times.gap_ns, own_ns)
        start_ns = end_ns - times.duration_ns
        through_ns = np.where(self._on_device, end_ns[self._last], 0)
        weight_ns = np.concatenate(
            [
                times.gap_ns[self._first[self._behind]],
                np.where(times.stays[self._edges], times.period_ns[self._edges], _NEVER),
            ]
        )
        weight_ns += np.where(graph.on_device[self._source], 0, end_ns[self._source])
        from_launch_ns = times.lag_ns[launched] + own_ns[launched] - end_ns[launched]
        fed_ns = start_ns[graph.launch[launched]] + from_launch_ns + through_ns[self._chain[launched]]
        fed_ns = np.maximum.reduceat(fed_ns, self._pairs) if len(fed_ns) else fed_ns
        begins_ns = np.full(len(self._first), graph.origin_ns) + times.gap_ns[self._first]
        begins_ns[self._behind] = _NEVER
        links_ns = np.concatenate([weight_ns + through_ns[self._target], fed_ns])
        reached_ns = self._walked(np.maximum(begins_ns + through_ns, _NEVER), links_ns[self._walk])
        np.maximum.at(begins_ns, self._target, reached_ns[self._chain[self._source]] + weight_ns)
        del own_ns, through_ns, weight_ns, fed_ns, links_ns
        reached_ns[self._on_device] = 0
        end_ns += reached_ns[self._chain]
        np.subtract(end_ns, times.duration_ns, out=start_ns)
        self._queue(begins_ns, start_ns[graph.launch[launched]] + from_launch_ns, end_ns)
        np.subtract(end_ns, times.duration_ns, out=start_ns)
        return start_ns, end_ns

    def _since_first(self, gap_ns: Ints, own_ns: Ints) -> Ints:
        summed = (gap_ns + own_ns)[self._order]
        summed[self._first_at] = own_ns[self._first]
        np.cumsum(summed, out=summed)
        summed -= (summed[self._first_at] - own_ns[self._first])[self._chain_at]
        end_ns = np.empty_like(summed)
        end_ns[self._order] = summed
        return end_ns

    def _walked(self, reached_ns: Ints, links_ns: Ints) -> Ints:
        """When each chain of the host could begin, and each of the device was over."""
        reached = reached_ns.tolist()
        for at in range(0, len(links_ns), _CHUNK):
            columns = (each[at : at + _CHUNK].tolist() for each in (self._from, self._to, links_ns))
            for source, target, link_ns in zip(*columns, strict=True):
                if (over := reached[source] + link_ns) > reached[target]:
                    reached[target] = over
        return np.array(reached, dtype=np.int64)

    def _queue(self, begins_ns: Ints, fed_ns: Ints, end_ns: Ints) -> None:
        """Adds to the ends of the device's rows what held up each or those before it in its chain."""
        at = np.flatnonzero(self._on_device[self._chain_at])
        if not len(at):
            return
        chains = self._chain_at[at]
        rows = self._order[at]
        held_ns = np.full(len(end_ns), _NEVER)
        held_ns[self._launched] = fed_ns
        opening = self._first[self._on_device]
        held_ns[opening] = np.maximum(held_ns[opening], begins_ns[self._on_device])
        held_ns = held_ns[rows]
        low_ns = int(held_ns[held_ns > _NEVER].min())
        held_ns = np.maximum(held_ns - low_ns, 0)
        opens = np.append(True, np.diff(chains) != 0)
        reach_ns = int(held_ns.max()) + 1
        place = np.cumsum(opens) - 1
        if reach_ns * (int(place[-1]) + 1) < _MOST_SHIFT:
            shift_ns = place * reach_ns  # each chain above those before it, so that one sweep does for all
            held_ns = np.maximum.accumulate(held_ns + shift_ns) - shift_ns
        else:
            for part in np.split(held_ns, np.flatnonzero(opens)[1:]):
                np.maximum.accumulate(part, out=part)
        end_ns[rows] += held_ns + low_ns


class Placing:
    """Places a graph's nodes, over and over, with as few of its further edges as hold anything up.

    Most never do: a queue of a thousand launches is seldom full. Those that held something up as recorded count from
    the start; others once a replay would break them, which is tried again with them.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._paths = Paths(graph)
        ready_ns = (graph.start_ns - graph.delay_ns)[graph.waiting]
        self._counts: Bools = graph.end_ns[graph.awaited] + graph.period_ns >= ready_ns
        self._chains: Chains | None = None

    def placed(self, times: Times) -> tuple[Ints, Ints]:
        """Start and end of every node."""
        graph, counts = self._graph, self._counts
        for tries in range(_TRIES):
            if self._chains is None or counts is not self._counts:
                self._chains, self._counts = Chains(graph, self._paths, np.flatnonzero(counts)), counts
            start_ns, end_ns = self._chains.placed(times)
            ready_ns = (start_ns - times.delay_ns)[graph.waiting]
            broken = times.stays & ~counts & (end_ns[graph.awaited] + times.period_ns > ready_ns)
            if not broken.any():
                return start_ns, end_ns
            if tries == _TRIES - 1 or np.count_nonzero(broken) * _MANY > len(broken):
                break
            counts = counts | broken
            del start_ns, end_ns, ready_ns
        self._chains = None  # two at a time would take too much memory
        every = Chains(graph, self._paths, np.arange(len(graph.waiting)))
        return every.placed(times)

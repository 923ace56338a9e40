"""A recording with an accelerator: what the device did, and its steps as a graph to be replayed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from slowprobe.timeline.device.facts import DeviceFacts, device_facts
from slowprobe.timeline.device.typical import TypicalSteps, typical_steps
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.graph.outlook import GraphReplay
from slowprobe.timeline.graph.part import build_part
from slowprobe.timeline.ranks.facts import Ranks
from slowprobe.timeline.ranks.joined import joined_graph
from slowprobe.timeline.replay import Outlook
from slowprobe.trace.reader import Trace, read_trace


@dataclass(frozen=True)
class DeviceWindow:
    """A trace in which a device was at work; the graph is built when it is first asked for."""

    trace: Trace
    facts: DeviceFacts
    ranks: Ranks | None = None
    """The others of the job, to be replayed together with this one where their traces allow it."""

    @cached_property
    def graph(self) -> GraphReplay:
        """What ran, by what waits for what: in all steps, or in those that stand for them."""
        steps, chosen = self.facts.steps, self.typical
        if chosen is not None:
            graph = build_part(self.trace, self.facts.rows, chosen.lead_ns, chosen.end_ns)
            these, counted_ns = slice(chosen.lead, chosen.last), (chosen.begin_ns, chosen.end_ns)
            return GraphReplay(graph, steps.start_ns[these], steps.end_ns[these], counted_ns, chosen.whole_ns)
        graph = build_graph(self.trace, self.facts.rows) if self._joined is None else self._joined[0]
        return GraphReplay(graph, steps.start_ns, steps.end_ns)

    @cached_property
    def typical(self) -> TypicalSteps | None:
        """The steps that are replayed in place of all; None where that is all of them.

        Ranks meet in all of their steps: a joined graph has all, which the size of its traces bounds.
        """
        if self._joined is not None:
            return None
        facts = self.facts
        return typical_steps(self.trace, facts.rows, facts.steps, facts.step_partitions, facts.step_idle)

    @property
    def replayed_on(self) -> TypicalSteps | None:
        """`typical`, once anything was replayed."""
        return self.typical if "graph" in self.__dict__ else None

    @cached_property
    def _joined(self) -> tuple[Graph, list[int]] | None:
        return None if self.ranks is None else joined_graph(self.trace, self.facts, self.ranks)

    def place_of(self, rank: int) -> int | None:
        """Where a rank is in the graph, for `OfRank`; None where this trace is replayed without the other ranks."""
        return self._joined[1].index(rank) if self._joined is not None and rank in self._joined[1] else None

    def outlook(self, changes: Iterable[Any]) -> Outlook:
        """The recorded steps with all `changes` (of `slowprobe.timeline.graph.changes`) applied together."""
        return self.graph.outlook(changes)


def read_device_window(path: Path) -> DeviceWindow | None:
    """None where the device did nothing. Raises `TraceError` for what is no trace."""
    trace = read_trace(path)
    facts = device_facts(trace)
    return None if facts is None else DeviceWindow(trace, facts)

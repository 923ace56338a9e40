"""A recording with an accelerator: what the device did, and its steps as a graph to be replayed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from slowprobe.timeline.device.facts import DeviceFacts, device_facts
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.outlook import GraphReplay
from slowprobe.timeline.replay import Outlook
from slowprobe.trace.reader import Trace, read_trace


@dataclass(frozen=True)
class DeviceWindow:
    """A trace in which a device was at work; the graph is built when it is first asked for."""

    trace: Trace
    facts: DeviceFacts

    @cached_property
    def graph(self) -> GraphReplay:
        """Everything that ran, by what waits for what."""
        steps = self.facts.steps
        return GraphReplay(build_graph(self.trace, self.facts.rows), steps.start_ns, steps.end_ns)

    def outlook(self, changes: Iterable[Any]) -> Outlook:
        """The recorded steps with all `changes` (of `slowprobe.timeline.graph.changes`) applied together."""
        return self.graph.outlook(changes)


def read_device_window(path: Path) -> DeviceWindow | None:
    """None where the device did nothing. Raises `TraceError` for what is no trace."""
    trace = read_trace(path)
    facts = device_facts(trace)
    return None if facts is None else DeviceWindow(trace, facts)

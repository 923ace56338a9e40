"""The profiler window of a run with an accelerator: what the device did, and its steps as a graph to be replayed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from slowprobe.timeline.device.facts import DeviceFacts, device_facts
from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.device.steps import TraceSteps, trace_steps
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.outlook import GraphReplay
from slowprobe.timeline.replay import Outlook
from slowprobe.trace.reader import read_trace


class DeviceWindow:
    """Read at once, worked out when it is asked for. Raises `TraceError` for what is no trace."""

    def __init__(self, path: Path) -> None:
        self.trace = read_trace(path)

    @cached_property
    def facts(self) -> DeviceFacts | None:
        """None where the device did nothing."""
        return device_facts(self.trace)

    @cached_property
    def _steps(self) -> TraceSteps:
        rows = device_rows(self.trace)
        return self.facts.steps if self.facts is not None else trace_steps(self.trace, rows)

    @cached_property
    def _replay(self) -> GraphReplay:
        rows = self.facts.rows if self.facts is not None else device_rows(self.trace)
        return GraphReplay(build_graph(self.trace, rows), self._steps.start_ns, self._steps.end_ns)

    def outlook(self, changes: Iterable[Any]) -> Outlook:
        """The profiled steps with all `changes` applied together."""
        return self._replay.outlook(changes)

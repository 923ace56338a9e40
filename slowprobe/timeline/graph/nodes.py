"""The dependency graph of one rank: what the host threads and the device did, and what each part waited for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.graph.chains import Placing
from slowprobe.timeline.graph.critical_path import CriticalPath, critical_path
from slowprobe.timeline.graph.kinds import HOST_KINDS, NODE_KINDS
from slowprobe.timeline.graph.schedule import Edit, Schedule, schedule
from slowprobe.timeline.uncontended import Case
from slowprobe.trace.reader import Ints

if TYPE_CHECKING:
    from slowprobe.timeline.graph.changes import Change

Int8s = npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in an order in which each comes after all that it depends on. `MISSING` in a column: there is none.

    Columns that are no times are of 32 bits or fewer.

    A node starts when the latest of these is over, and `delay_ns` later, which nothing in the graph explains:
    the one in front of it on its thread or stream (`before`, plus `gap_ns`), its launch (from whose *start* on it takes
    `lag_ns`), and those in the edges `waiting` → `awaited` (plus `period_ns`).
    """

    kind: Int8s
    """Into `NODE_KINDS`."""
    row: Ints
    """Into the trace: a call or a device row; `MISSING` for host work between calls."""
    rank: npt.NDArray[np.int16]
    """0 is the rank whose trace it is; others where the graphs of several were joined."""
    thread: Ints
    """Host threads from 0, which is the main thread; `MISSING` on the device."""
    class_id: Int8s
    """Into `slowprobe.timeline.device.classes.CLASSES`; `MISSING` on the host."""
    copy_kind: Int8s
    """Into `slowprobe.timeline.device.rows.COPIES`."""
    name_id: Ints
    names: tuple[str, ...]
    start_ns: Ints
    duration_ns: Ints
    """Own time, without what it waited for."""
    operator_ns: Ints
    """The part of host work that was spent in operators; the rest is Python."""
    before: Ints
    gap_ns: Ints
    launch: Ints
    lag_ns: Ints
    delay_ns: Ints
    waiting: Ints
    """Nodes at the end of further edges, in order."""
    awaited: Ints
    period_ns: Ints
    """Of batches that worker processes supply: time from the one before. Below 0 where a device row begins while the
    last blocks of what filled the device still run."""
    origin_ns: int
    """No node starts earlier."""
    launch_cost_ns: int
    """Median of the calls that launch kernels, without what they waited for."""
    latency_ns: int
    """Median from the start of a launch to the start of the device row, with nothing in front of it."""

    def __len__(self) -> int:
        return len(self.start_ns)

    @property
    def end_ns(self) -> Ints:
        """End of every node as recorded."""
        return self.start_ns + self.duration_ns

    @property
    def on_device(self) -> npt.NDArray[np.bool_]:
        """Which nodes are rows of the device."""
        return self.kind >= len(HOST_KINDS)

    @property
    def span_ns(self) -> int:
        """From the start of the first node to the end of the last."""
        return int(self.end_ns.max()) - self.origin_ns if len(self) else 0

    def is_kind(self, *kinds: str) -> npt.NDArray[np.bool_]:
        """Which nodes are of one of these kinds."""
        return np.isin(self.kind, [NODE_KINDS.index(kind) for kind in kinds])

    def replay(self, changes: Iterable[Change] = (), case: Case = "expected") -> Schedule:
        """When everything would have happened with all `changes` applied together; as recorded without any."""
        edit = Edit.of(self)
        for change in changes:
            change.apply(edit, case)
        return schedule(self, edit)

    def critical_path(self) -> CriticalPath:
        """The chain of dependencies that ends last."""
        return self._critical_path

    @cached_property
    def placing(self) -> Placing:
        """What places the nodes in a replay; kept, for the next one is quicker."""
        return Placing(self)

    @cached_property
    def _critical_path(self) -> CriticalPath:
        return critical_path(self)

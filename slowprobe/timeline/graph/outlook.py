"""What changes would do to the steps of a trace, as a range."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from slowprobe.timeline.graph.changes import Change
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.graph.schedule import Edit, Schedule, schedule
from slowprobe.timeline.replay import Outlook
from slowprobe.timeline.uncontended import CASES, Case
from slowprobe.trace.reader import MISSING, Ints


class GraphReplay:
    """The steps of one rank, and what lies between them, ready to be replayed with changes.

    Of a graph that several ranks were joined into, the times are those of rank 0; changes are made on all of them.
    """

    def __init__(
        self, graph: Graph, step_start_ns: Ints, step_end_ns: Ints, until_ns: int | None = None, times: float = 1.0
    ) -> None:
        """Whole steps in order, on the host's clock; without any, all of the trace counts as one.

        Time counts from when the first step starts, or the device work launched before it is over, to when the last
        step ends (or to `until_ns`, with what lies behind it) and the work launched until then is over. Only what
        belongs to that stretch can be changed. times: how many such stretches the seconds are of.
        """
        self._graph, self._times = graph, times
        self._begin_ns = int(step_start_ns[0]) if len(step_start_ns) else graph.origin_ns
        self._end_ns = int(step_end_ns[-1]) if len(step_end_ns) else graph.origin_ns + graph.span_ns
        self._end_ns = self._end_ns if until_ns is None else until_ns
        # Device work belongs to where it was launched.
        given_ns = np.where(graph.launch == MISSING, graph.start_ns, graph.start_ns[graph.launch])
        self._inside = (given_ns >= self._begin_ns) & (given_ns < self._end_ns)
        self._off_step = np.zeros(len(graph), dtype=np.bool_)
        if len(step_start_ns):
            step = np.searchsorted(step_start_ns, graph.start_ns, side="right") - 1
            in_step = (step >= 0) & (graph.start_ns < step_end_ns[step])
            self._off_step = self._inside & ~in_step & (graph.thread != MISSING)
        self._own = graph.on_device & (graph.rank == 0)
        earlier = self._own & (given_ns < self._begin_ns)
        backlog_ns = int(graph.end_ns[earlier].max(initial=self._begin_ns))
        self._main = np.flatnonzero((graph.thread == 0) & (graph.start_ns < self._end_ns))
        self._from_ns = min(backlog_ns, self._done_ns(graph.start_ns, graph.end_ns))

    @property
    def before_s(self) -> float:
        """The steps as recorded."""
        return self._seconds(self._graph.start_ns, self._graph.end_ns)

    def outlook(self, changes: Iterable[Change]) -> Outlook:
        """The steps with all `changes` applied together."""
        changes = tuple(changes)
        best, expected, worst = (self.after_s(changes, case) for case in CASES)
        return Outlook(self.before_s, min(best, expected), expected, max(worst, expected))

    def schedule(self, changes: Iterable[Change], case: Case = "expected") -> Schedule:
        """Every node's times with the changes applied within the steps."""
        return schedule(self._graph, self._edited(changes, case))

    def _edited(self, changes: Iterable[Change], case: Case) -> Edit:
        edit = Edit.of(self._graph)
        edit.inside, edit.off_step = self._inside, self._off_step
        for change in changes:
            change.apply(edit, case)
        return edit

    def after_s(self, changes: Iterable[Change], case: Case = "expected") -> float:
        """The steps with all `changes` applied together, in one case; never longer than recorded."""
        edit = self._edited(changes, case)
        replayed = schedule(self._graph, edit)
        after_s = self._seconds(replayed.start_ns, replayed.end_ns)
        return min(max(after_s, self._times * edit.floor_ns / 1e9), self.before_s)

    def _seconds(self, start_ns: Ints, end_ns: Ints) -> float:
        return self._times * max(self._done_ns(start_ns, end_ns) - self._from_ns, 0) / 1e9

    def _done_ns(self, start_ns: Ints, end_ns: Ints) -> int:
        """When the host reaches the end of the last step and the device has done what was launched until then."""
        device = self._inside & self._own
        done_ns = int(end_ns[device].max(initial=self._begin_ns))
        if not len(self._main):
            return done_ns
        last = self._main[-1]
        recorded_ns = int(self._graph.duration_ns[last])
        part_ns = min(self._end_ns - int(self._graph.start_ns[last]), recorded_ns)
        share = part_ns / recorded_ns if recorded_ns else 1.0
        return max(done_ns, int(start_ns[last]) + round((int(end_ns[last]) - int(start_ns[last])) * share))

"""What changes would do to the steps of a trace, as a range."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from slowprobe.timeline.graph.changes import Change
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.graph.schedule import Edit, Schedule, schedule
from slowprobe.timeline.replay import Outlook
from slowprobe.timeline.uncontended import CASES, Case
from slowprobe.trace.reader import MISSING, Bools, Ints


class GraphReplay:
    """The steps of one rank, and what lies between them, ready to be replayed with changes.

    Of a graph that several ranks were joined into, the times are those of rank 0; changes are made on all of them.
    """

    def __init__(
        self,
        graph: Graph,
        step_start_ns: Ints,
        step_end_ns: Ints,
        counted_ns: tuple[int, int] | None = None,
        whole_ns: int | None = None,
    ) -> None:
        """Whole steps in order, on the host's clock; without any, all of the trace counts as one.

        Time counts from when the first step starts, or the device work launched before it is over, to when the last
        step ends and the work launched in it is over. Only what belongs to these steps can be changed.

        counted_ns: of steps that stand for a longer recording, the stretch that counts, from when its start is reached
        in the replay: what comes before only sets the pace, as the whole recording does but for its very beginning.
        whole_ns: how long the recording took; all seconds are of that.
        """
        self._graph, self._times = graph, 1.0
        begin_ns = int(step_start_ns[0]) if len(step_start_ns) else graph.origin_ns
        end_ns = int(step_end_ns[-1]) if len(step_end_ns) else graph.origin_ns + graph.span_ns
        end_ns = end_ns if counted_ns is None else counted_ns[1]
        # Device work belongs to where it was launched.
        given_ns = np.where(graph.launch == MISSING, graph.start_ns, graph.start_ns[graph.launch])
        self._inside = (given_ns >= begin_ns) & (given_ns < end_ns)
        self._off_step = np.zeros(len(graph), dtype=np.bool_)
        if len(step_start_ns):
            step = np.searchsorted(step_start_ns, graph.start_ns, side="right") - 1
            in_step = (step >= 0) & (graph.start_ns < step_end_ns[step])
            self._off_step = self._inside & ~in_step & (graph.thread != MISSING)
        own = graph.on_device & (graph.rank == 0)
        self._last = _Instant(graph, begin_ns, end_ns, self._inside & own)
        self._first: _Instant | None = None
        if counted_ns is not None:
            self._first = _Instant(graph, begin_ns, counted_ns[0], self._inside & own & (given_ns < counted_ns[0]))
        backlog_ns = int(graph.end_ns[own & (given_ns < begin_ns)].max(initial=begin_ns))
        recorded_ns = self._last.reached_ns(graph.start_ns, graph.end_ns)
        self._from_ns = min(backlog_ns, recorded_ns)
        self._recorded_ns = recorded_ns - self._from_ns
        if whole_ns is not None:
            self._times = whole_ns / 1e9 / (self.before_s or 1.0)

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
        floor_s = self.before_s * edit.floor_ns / max(self._recorded_ns, 1)  # of all that can be changed, what counts
        return min(max(after_s, floor_s), self.before_s)

    def _seconds(self, start_ns: Ints, end_ns: Ints) -> float:
        from_ns = self._from_ns if self._first is None else self._first.reached_ns(start_ns, end_ns)
        return self._times * max(self._last.reached_ns(start_ns, end_ns) - from_ns, 0) / 1e9


class _Instant:
    """A time of the host: when it comes in a replay, with all done that the device had been given by then."""

    def __init__(self, graph: Graph, begin_ns: int, at_ns: int, given: Bools) -> None:
        """given: the device work."""
        self._begin_ns, self._given = begin_ns, given
        main = np.flatnonzero((graph.thread == 0) & (graph.start_ns < at_ns))
        self._node = int(main[-1]) if len(main) else None
        self._share = 1.0
        if self._node is not None and (recorded_ns := int(graph.duration_ns[self._node])):
            self._share = min(at_ns - int(graph.start_ns[self._node]), recorded_ns) / recorded_ns

    def reached_ns(self, start_ns: Ints, end_ns: Ints) -> int:
        """With these starts and ends of the graph's nodes."""
        done_ns = int(end_ns[self._given].max(initial=self._begin_ns))
        if self._node is None:
            return done_ns
        first_ns, last_ns = int(start_ns[self._node]), int(end_ns[self._node])
        return max(done_ns, first_ns + round((last_ns - first_ns) * self._share))

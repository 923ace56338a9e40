"""Evidence from torch.profiler traces alone, of one rank or several: what `slowprobe analyze` gives its rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from slowprobe.diagnose.evidence import EvidenceMissing
from slowprobe.diagnose.evidence.tensors import TensorEvidence
from slowprobe.timeline.device.facts import DeviceFacts, device_facts
from slowprobe.timeline.device.partition import BusyTime, DevicePartition
from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.device.steps import StepBasis, TraceSteps, trace_steps
from slowprobe.timeline.device_window import DeviceWindow
from slowprobe.timeline.graph.changes import HostFaster
from slowprobe.timeline.loop_changes import Factor
from slowprobe.timeline.ops import OpWindow, op_window
from slowprobe.timeline.ranks.facts import Ranks
from slowprobe.timeline.replay import Outlook
from slowprobe.timeline.step_stats import Floats, StepStats
from slowprobe.trace.reader import Trace

UNITS: dict[StepBasis, str] = {
    "slowprobe.step": "step",
    "ProfilerStep": "ProfilerStep",
    "optimizer": "optimizer step",
    "dataloader": "batch",
    "none": "recording",
}
"""What counts as a step, by what marks it. Without marks the recording is one, so that rules have a whole to share."""


_IDLE_BUCKETS = {"data": "data_wait", "other": "idle_other"}


def idle_bucket(cause: str) -> str:
    """The bucket of a cause of idle time: the same as a recorded run has for it, where it has one."""
    return _IDLE_BUCKETS.get(cause, cause)


def buckets(split: DevicePartition, idle: Mapping[str, int]) -> dict[str, int]:
    """ns of a stretch by bucket, adding up to it: kernel classes, exposed communication and copies, idling by cause."""
    shown = dict(split.by_class)
    shown["communication"] = split.exposed_communication_ns
    shown["copy"] = shown.get("copy", 0) + split.exposed_copy_ns  # a kernel can be a copy, too
    shown |= {idle_bucket(cause): ns for cause, ns in idle.items()}
    return {name: ns for name, ns in shown.items() if ns}


# Stacks, shapes and memory make the host at least 1.6 times as slow while they are recorded (measured on small
# operators): what is predicted is the training without that.
LIGHTER = HostFaster(Factor(1 / 1.6, 1 / 1.6, 1 / 1.6), ("python", "operator"))


class TraceReplay:
    """The recorded steps of a trace, ready to be replayed without what recording shapes and stacks costs."""

    def __init__(self, window: DeviceWindow | None, loop_s: float) -> None:
        """`window`: None without a device."""
        self._window = window
        self.loop_s = loop_s
        self._known: dict[tuple[int, ...], tuple[list[Any], Outlook]] = {}
        self._lighter_s: float | None = None

    def place_of(self, rank: int) -> int | None:
        """Where a rank is in the graph, for `OfRank`; None where this trace is replayed without the other ranks."""
        return None if self._window is None else self._window.place_of(rank)

    def outlook(self, changes: Iterable[Any]) -> Outlook:
        """The recorded time with all `changes` (of `slowprobe.timeline.graph.changes`) applied together.

        Raises `EvidenceMissing` without a device.
        """
        changes = list(changes)
        if not changes:
            return Outlook(self.loop_s, self.loop_s, self.loop_s, self.loop_s)
        key = tuple(map(id, changes))
        if key not in self._known:  # the joint replay of a single finding is its own
            if self._window is None:
                raise EvidenceMissing("without device activity a trace cannot be replayed")
            self._known[key] = changes, self._replayed(self._window, changes)
        return self._known[key][1]

    def _replayed(self, window: DeviceWindow, changes: list[Any]) -> Outlook:
        if not _heavy(window.trace):
            return window.outlook(changes)
        if self._lighter_s is None:
            self._lighter_s = window.graph.after_s([LIGHTER])
        before_s = self._lighter_s
        after = window.outlook([*changes, LIGHTER])
        return Outlook(before_s, *(min(each, before_s) for each in (after.best_s, after.expected_s, after.worst_s)))


def _heavy(trace: Trace) -> bool:
    """Whether shapes, stacks or memory were recorded with the operators."""
    told = bool(trace.header.get("with_stack") or trace.header.get("record_shapes"))
    return told or bool(len(trace.memory)) or bool(trace.is_category("python_function").any())


class TraceEvidence(TensorEvidence):
    """All evidence of a trace. Attributes raise `EvidenceMissing` with a reason where traces do not hold them."""

    recorded_by_profiler = True
    """And by nothing else."""
    serious_s = 0.0
    """A trace is a sample of a long run: only shares tell."""

    def __init__(self, trace: Trace, ranks: Ranks | None = None) -> None:
        self.trace = trace
        self._ranks = ranks

    @cached_property
    def facts(self) -> DeviceFacts | None:
        """`device`, or None without device activity."""
        return device_facts(self.trace)

    @property
    def _known(self) -> DeviceFacts:
        if self.facts is None:
            raise EvidenceMissing("the trace shows nothing that ran on a device")
        return self.facts

    @property
    def device(self) -> DeviceFacts | None:
        """The busiest device of this trace; None where nothing ran on one."""
        return self.facts

    @cached_property
    def device_window(self) -> DeviceWindow | None:
        """The trace with what the device did in it."""
        return None if self.facts is None else DeviceWindow(self.trace, self.facts, self._ranks)

    @property
    def shaped_window(self) -> DeviceWindow | None:
        """The same: what was recorded of operators was recorded of all."""
        return self.device_window

    @property
    def ranks(self) -> Ranks:
        """All ranks of the job that were recorded, compared."""
        if self._ranks is None:
            raise EvidenceMissing("only one rank was recorded")
        return self._ranks

    @cached_property
    def cpu_window(self) -> OpWindow | None:
        """The operators of a recording without a device; None with one, or without operators.

        No rule sees this by the name `ops`: a change to operators needs the host's side of a run to be replayed.
        """
        return op_window(self.trace) if self.facts is None and self.trace.operators().any() else None

    @cached_property
    def marks(self) -> TraceSteps:
        """The steps as the trace marks them; none where nothing does."""
        return self.facts.steps if self.facts is not None else trace_steps(self.trace, device_rows(self.trace))

    @cached_property
    def steps(self) -> StepStats:
        """The marked steps with the device's partition as their parts; without marks, the recording as one step."""
        marks = self.marks
        marked = bool(len(marks))
        first_ns, last_ns = self.span_ns
        start = marks.start_ns if marked else np.array([first_ns], dtype=np.int64)
        end = marks.end_ns if marked else np.array([last_ns], dtype=np.int64)
        wall_ms = (end - start) / 1e6
        return StepStats(
            unit=UNITS[marks.basis],
            count=len(start),
            start_s=(start - first_ns) / 1e9,
            wall_ms=wall_ms,
            steady=np.ones(len(start), dtype=np.bool_),
            parts=self._parts(marked),
            batches_per_step=1.0,
        )

    @cached_property
    def loop_ns(self) -> dict[tuple[str, str], int]:
        """ns by (scope, bucket) from the start of the first step to the end of the last; without marks, of the span.

        The scope is ``step`` or, for what lies between steps, ``off_step``.
        """
        facts, marks = self._known, self.marks
        pieces = [("step", split, idle) for split, idle in zip(facts.step_partitions, facts.step_idle, strict=True)]
        busy = BusyTime(facts.rows)
        for start, end in zip(marks.end_ns[:-1].tolist(), marks.start_ns[1:].tolist(), strict=True):
            if end > start:
                pieces.append(("off_step", busy.partition(start, end), facts.gaps.between(start, end)))
        if not len(marks):
            pieces = [("step", facts.partition, facts.gaps.by_cause)]
        total: dict[tuple[str, str], int] = {}
        for scope, split, idle in pieces:
            for name, ns in buckets(split, idle).items():
                total[scope, name] = total.get((scope, name), 0) + ns
        return total

    @property
    def exposed_copy_ns(self) -> int:
        """Of `loop_ns`, copies while nothing computes or communicates."""
        splits = self._known.step_partitions or (self._known.partition,)
        return sum(split.exposed_copy_ns for split in splits)

    @cached_property
    def drained_ns(self) -> int:
        """Of `loop_ns`, idle time behind calls that let the queue of the device run dry."""
        marks = self.marks
        start, end = (int(marks.start_ns[0]), int(marks.end_ns[-1])) if len(marks) else self.span_ns
        return self._known.gaps.drained_between(start, end)

    @cached_property
    def span_ns(self) -> tuple[int, int]:
        """First start and last end: of the device where there is one, else of operators and annotations."""
        if self.facts is not None:
            return self.facts.span_start_ns, self.facts.span_end_ns
        shown = self.trace.operators() | self.trace.annotations()
        rows = np.flatnonzero(shown if shown.any() else np.ones(len(self.trace), dtype=np.bool_))
        if not len(rows):
            return 0, 0
        return int(self.trace.start_ns[rows].min()), int(self.trace.ends_of(rows).max())

    @cached_property
    def replay(self) -> TraceReplay:
        """The recording, ready to be replayed with changes."""
        return TraceReplay(self.device_window, float(self.steps.wall_ms.sum()) / 1e3)

    def _parts(self, marked: bool) -> dict[str, Floats]:
        """ms a step, by the parts of the device's time as the report names them; they add up to the step."""
        facts = self.facts
        if facts is None:
            return {}
        splits = facts.step_partitions if marked else (facts.partition,)
        idle = facts.step_idle if marked else (facts.gaps.by_cause,)
        columns = [buckets(split, causes) for split, causes in zip(splits, idle, strict=True)]
        names = {name: None for column in columns for name in column}
        return {name: np.array([column.get(name, 0) for column in columns]) / 1e6 for name in names}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise EvidenceMissing("a trace does not hold this")

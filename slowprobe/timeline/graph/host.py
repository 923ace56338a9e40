"""Host threads that feed the device: which they are, and what each did when."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.intervals import distinct
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.graph.calls import is_call
from slowprobe.timeline.op_classes import class_of_annotation
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

_STEP_MARKS = ("slowprobe.step", "ProfilerStep")
_BACKWARD = re.compile(r"^autograd::engine::|Backward\d*$|AccumulateGrad$")  # traces before 2021 tell by names alone
_WORKERS = "_MultiProcessingDataLoaderIter"


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads of the graph, as numbers of `Trace.places_of`."""

    main: int
    engine: tuple[int, ...]
    """Of the autograd engine: at work while the main thread waits in backward."""
    other: tuple[int, ...]
    """They launch too; nothing is known of what they wait for."""

    @property
    def all(self) -> tuple[int, ...]:
        """The main thread first."""
        return (self.main, *self.engine, *self.other)


@dataclass(frozen=True, slots=True)
class Stretches:
    """Disjoint stretches of time, in order."""

    start_ns: Ints
    end_ns: Ints

    def __len__(self) -> int:
        return len(self.start_ns)

    def holding(self, time_ns: Ints) -> Ints:
        """Which stretch each time lies in; `MISSING` for none."""
        if not len(self):
            return np.full(len(time_ns), MISSING, dtype=np.int64)
        at = np.searchsorted(self.start_ns, time_ns, side="right") - 1
        return np.where((at >= 0) & (self.end_ns[at] > time_ns), at, MISSING)

    def covered_ns(self, time_ns: Ints) -> Ints:
        """How much of the time before each of these lies in a stretch."""
        if not len(self):
            return np.zeros(len(time_ns), dtype=np.int64)
        before = np.concatenate([[0], np.cumsum(self.end_ns - self.start_ns)])
        at = np.searchsorted(self.start_ns, time_ns, side="right")
        unfinished = np.maximum(self.end_ns[at - 1] - time_ns, 0)
        return np.asarray(np.where(at > 0, before[at] - unfinished, 0), dtype=np.int64)


def union(start_ns: Ints, end_ns: Ints) -> Stretches:
    """Stretches in order of start, joined where they overlap."""
    if not len(start_ns):
        return Stretches(start_ns, end_ns)
    reached = np.maximum.accumulate(end_ns)
    first = np.concatenate([[True], start_ns[1:] > reached[:-1]])
    last = np.concatenate([first[1:], [True]])
    return Stretches(start_ns[first], reached[last])


def _is_backward(name: str) -> bool:
    return _BACKWARD.search(name) is not None


class HostRows:
    """Rows of the host, looked up by thread."""

    def __init__(self, trace: Trace, rows: DeviceRows) -> None:
        self._trace = trace
        self._place = trace.places_of()
        self._operators = trace.operators()
        self._annotations = trace.annotations()
        calls = is_call(trace, rows)
        self._host = self._operators | self._annotations | calls | trace.is_category("python_function")
        self._launches = rows.launch[rows.launch != MISSING]

    def threads(self) -> Threads | None:
        """None when the trace has nothing of the host."""
        backward = ((self._trace.forward_thread > 0) | self._trace.matches(_is_backward)) & self._operators
        engine = set(distinct(self._place[backward]).tolist())
        launching = set(distinct(self._place[self._launches]).tolist())
        main = self._main(engine)
        if main is None:
            return None
        return Threads(main, tuple(sorted(engine - {main})), tuple(sorted(launching - engine - {main})))

    def activity(self, thread: int) -> tuple[Ints, Ints]:
        """When something began on a thread, and when something ended: it was active then."""
        mine = self._host & (self._place == thread)
        return self._trace.start_ns[mine], self._trace.ends_of(mine)

    def operators(self, thread: int) -> Stretches:
        """When a thread was in an operator."""
        return self._union(self._operators & (self._place == thread))

    def marks(self, thread: int) -> Ints:
        """Where annotations of a thread begin and end, the boundaries of steps among them."""
        mine = self._annotations & (self._place == thread)
        return np.concatenate([self._trace.start_ns[mine], self._trace.ends_of(mine)])

    def data(self, thread: int, *, from_workers: bool = False) -> Stretches:
        """When a thread was asking its loader for a batch; optionally only from loaders with worker processes."""
        wanted = self._trace.matches(
            lambda name: class_of_annotation(name) == "data" and (not from_workers or _WORKERS in name)
        )
        return self._union(self._annotations & wanted & (self._place == thread))

    def _union(self, mask: Bools) -> Stretches:
        return union(self._trace.start_ns[mask], self._trace.ends_of(mask))

    def _main(self, engine: set[int]) -> int | None:
        """The thread with the marks of steps or of the optimizer; else the one that launches or operates most."""
        marked: tuple[Callable[[str], bool], ...] = (
            lambda name: name.partition("#")[0] in _STEP_MARKS,
            lambda name: name.startswith("Optimizer."),
        )
        for fits in marked:
            found = self._busiest(self._place[self._annotations & self._trace.matches(fits)], set())
            if found is not None:
                return found
        candidates = (self._place[self._launches], self._place[self._operators], self._place[self._host])
        return next((t for each in candidates for t in [self._busiest(each, engine)] if t is not None), None)

    @staticmethod
    def _busiest(place: Ints, excluded: set[int]) -> int | None:
        threads, count = np.unique(place, return_counts=True)
        ranked = sorted(zip((-count).tolist(), threads.tolist(), strict=True))
        return next((thread for _, thread in ranked if thread not in excluded), None)

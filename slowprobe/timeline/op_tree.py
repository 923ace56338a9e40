"""The operators of a trace as trees, one a thread, and the steps they ran in."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np

from slowprobe.timeline.op_classes import OWNERS, OpClass, class_of_annotation, classify
from slowprobe.trace.reader import Trace

StepBasis = Literal["slowprobe.step", "ProfilerStep", "whole"]
_NONE = -1
_ENGINE_PREFIX = "autograd::engine::"


@dataclass(frozen=True, slots=True)
class Step:
    """One step as the training thread lived it. Outermost operators and the gaps around them; data time apart."""

    start_ns: int
    end_ns: int
    data_ns: int
    elsewhere_ns: int
    """The training thread ran nothing while the backward engine worked on another thread."""
    launches: list[int]
    """Outermost operators of the training thread, in order, but for those under the data loader."""
    gaps_ns: list[int]
    """Time in no operator before each launch."""
    other_gaps_ns: list[int]
    """The same before a request for data, and before the end of the step."""


@dataclass(frozen=True, slots=True)
class OpTree:
    """Operators in order of start. `parent` and `root` are positions in these columns; a root is its own root."""

    trace: Trace
    rows: list[int]
    names: list[str]
    thread: list[int]
    start_ns: list[int]
    duration_ns: list[int]
    self_ns: list[int]
    """Less the operators nested in it, on the same thread."""
    parent: list[int]
    root: list[int]
    op_class: list[OpClass]
    main_thread: int
    step_basis: StepBasis
    steps: list[Step]
    step_of: list[int]
    """Which step an operator started in; -1 for none."""


def build_tree(trace: Trace) -> OpTree:
    """Nests the operators of each thread and lays the steps over them."""
    mask = trace.operators() | (trace.annotations() & trace.matches(lambda name: classify(name) == "compiled"))
    rows = np.flatnonzero(mask).tolist()
    names = [trace.names[i] for i in trace.name_id[rows].tolist()]
    thread = trace.places_of(rows).tolist()
    start_ns, duration_ns = trace.start_ns[rows].tolist(), trace.duration_ns[rows].tolist()
    parent, self_ns = _nest(thread, start_ns, duration_ns)
    root = list(range(len(rows)))
    for i, p in enumerate(parent):
        if p != _NONE:
            root[i] = root[p]
    step_basis, stretches = _step_stretches(trace, thread, start_ns, duration_ns)
    main_thread = stretches[0][2] if stretches else _NONE
    op_class = _classes(trace, names, thread, start_ns, parent)
    bounds = [(start, end) for start, end, _ in stretches]
    step_of = _steps_of(start_ns, bounds)
    tree = OpTree(
        trace,
        rows,
        names,
        thread,
        start_ns,
        duration_ns,
        self_ns,
        parent,
        root,
        op_class,
        main_thread,
        step_basis,
        [],
        step_of,
    )
    tree.steps.extend(_step(tree, number, *bound) for number, bound in enumerate(bounds))
    return tree


def _nest(thread: list[int], start_ns: list[int], duration_ns: list[int]) -> tuple[list[int], list[int]]:
    """Parents and self times, from the stack of what is open on each thread."""
    parent, self_ns = [_NONE] * len(start_ns), list(duration_ns)
    open_ops: dict[int, list[int]] = {}
    for i, start in enumerate(start_ns):
        stack = open_ops.setdefault(thread[i], [])
        while stack and start_ns[stack[-1]] + duration_ns[stack[-1]] <= start:
            stack.pop()
        if stack:
            above = parent[i] = stack[-1]
            # Clock conversion can let a child end a few ns after its parent: only the overlap is the parent's.
            overlap = min(duration_ns[i], start_ns[above] + duration_ns[above] - start)
            self_ns[above] = max(0, self_ns[above] - overlap)
        stack.append(i)
    return parent, self_ns


def _step_stretches(
    trace: Trace, thread: list[int], start_ns: list[int], duration_ns: list[int]
) -> tuple[StepBasis, list[tuple[int, int, int]]]:
    """(start, end, thread) of each step; without step markers, all operators are one step of the busiest thread."""
    bases: tuple[StepBasis, ...] = ("slowprobe.step", "ProfilerStep")
    for basis in bases:
        is_step = trace.matches(lambda name, basis=basis: name.partition("#")[0] == basis)  # type: ignore[misc]
        rows = np.flatnonzero(trace.annotations() & is_step).tolist()
        if rows:
            place = trace.places_of(rows).tolist()
            ends = trace.ends_of(rows).tolist()
            starts = trace.start_ns[rows].tolist()
            return basis, [span for span in zip(starts, ends, place, strict=True) if span[2] == place[0]]
    if not start_ns:
        return "whole", []
    busy: dict[int, int] = {}
    for t, duration in zip(thread, duration_ns, strict=True):
        busy[t] = busy.get(t, 0) + duration
    end = max(start + duration for start, duration in zip(start_ns, duration_ns, strict=True))
    return "whole", [(start_ns[0], end, max(busy, key=lambda t: busy[t]))]


def _steps_of(start_ns: list[int], bounds: list[tuple[int, int]]) -> list[int]:
    starts = np.array([start for start, _ in bounds], dtype=np.int64)
    candidates = (np.searchsorted(starts, np.array(start_ns, dtype=np.int64), side="right") - 1).tolist()
    return [c if c >= 0 and start < bounds[c][1] else _NONE for c, start in zip(candidates, start_ns, strict=True)]


def _classes(
    trace: Trace, names: list[str], thread: list[int], start_ns: list[int], parent: list[int]
) -> list[OpClass]:
    """The annotation an operator ran under decides, then the operator that owns it, then its name."""
    under: dict[int, list[tuple[int, int, OpClass]]] = {}
    for row in np.flatnonzero(trace.annotations()).tolist():
        kind = class_of_annotation(trace.names[trace.name_id[row]])
        if kind is not None:
            place = int(trace.places_of(row))
            start = int(trace.start_ns[row])
            under.setdefault(place, []).append((start, start + int(trace.duration_ns[row]), kind))
    cursor = dict.fromkeys(under, 0)
    classes: list[OpClass] = []
    for i, name in enumerate(names):
        annotated = under.get(thread[i])
        if annotated is not None:
            at = cursor[thread[i]]
            while at < len(annotated) and annotated[at][1] <= start_ns[i]:
                at += 1
            cursor[thread[i]] = at
            if at < len(annotated) and annotated[at][0] <= start_ns[i]:
                classes.append(annotated[at][2])
                continue
        above = classes[parent[i]] if parent[i] != _NONE else "other"
        classes.append(above if above in OWNERS else classify(name))
    return classes


def _step(tree: OpTree, number: int, start_ns: int, end_ns: int) -> Step:
    trace = tree.trace
    is_data = trace.annotations() & trace.matches(lambda name: class_of_annotation(name) == "data")
    place = trace.places_of()
    inside = (place == tree.main_thread) & (trace.end_ns > start_ns) & (trace.start_ns < end_ns)
    data = [
        (max(start_ns, int(trace.start_ns[r])), min(end_ns, int(trace.ends_of(r))), _NONE)
        for r in np.flatnonzero(is_data & inside).tolist()
    ]
    mine = [i for i, s in enumerate(tree.step_of) if s == number and tree.parent[i] == _NONE]
    launches = [i for i in mine if tree.thread[i] == tree.main_thread and tree.op_class[i] != "data"]
    engine = [i for i in mine if tree.thread[i] != tree.main_thread and tree.names[i].startswith(_ENGINE_PREFIX)]
    elsewhere = _Cover([(tree.start_ns[i], tree.start_ns[i] + tree.duration_ns[i]) for i in engine])
    busy = sorted([*data, *((tree.start_ns[i], tree.start_ns[i] + tree.duration_ns[i], i) for i in launches)])
    gaps_ns: list[int] = []
    other_gaps_ns: list[int] = []
    at, elsewhere_ns = start_ns, 0
    for begin, end, launch in [*busy, (end_ns, end_ns, _NONE)]:
        hidden = elsewhere.between(at, begin)
        elsewhere_ns += hidden
        (gaps_ns if launch != _NONE else other_gaps_ns).append(max(0, begin - at) - hidden)
        at = max(at, end)
    data_ns = sum(end - begin for begin, end, _ in data)
    return Step(start_ns, end_ns, data_ns, elsewhere_ns, launches, gaps_ns, other_gaps_ns)


class _Cover:
    """How much of a stretch the union of some intervals covers."""

    def __init__(self, intervals: list[tuple[int, int]]) -> None:
        merged: list[list[int]] = []
        for start, end in sorted(intervals):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        self._starts = [start for start, _ in merged]
        self._ends = [end for _, end in merged]
        self._before = [0, *accumulate(end - start for start, end in merged)]

    def between(self, start_ns: int, end_ns: int) -> int:
        """Covered time of a stretch; 0 when it is empty."""
        return self._until(end_ns) - self._until(start_ns) if start_ns < end_ns else 0

    def _until(self, time_ns: int) -> int:
        at = bisect_right(self._starts, time_ns)
        return self._before[at] - (max(0, self._ends[at - 1] - time_ns) if at else 0)

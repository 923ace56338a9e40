"""One profiled step on the CPU, operator by operator, a row a thread."""

from __future__ import annotations

import numpy as np

from slowprobe.report.timeline_cells import innermost
from slowprobe.report.timeline_document import StepTimeline
from slowprobe.report.timeline_lanes import Names, Row, shifted, timeline_of, with_python
from slowprobe.report.timeline_words import OPERATORS, operator_part
from slowprobe.timeline.device.intervals import Cover
from slowprobe.timeline.op_classes import class_of_annotation
from slowprobe.timeline.op_tree import OpTree, Step
from slowprobe.trace.reader import Ints

PARTS = tuple(map(operator_part, OPERATORS))
_PART = {name: number for number, name in enumerate(OPERATORS)}
_MOST_THREADS = 4


def operator_step(tree: OpTree | None) -> StepTimeline | None:
    """The profiled step of median length; None where nothing ran in it."""
    if tree is None or not tree.steps:
        return None
    place = sorted(range(len(tree.steps)), key=lambda at: tree.steps[at].end_ns - tree.steps[at].start_ns)[
        (len(tree.steps) - 1) // 2
    ]
    step = tree.steps[place]
    start_ns, end_ns = step.start_ns, step.end_ns
    names = Names()
    rows = _rows(tree, step, names)
    if not rows or end_ns <= start_ns:
        return None
    marked = tree.step_basis != "whole"
    label = f"profiled step {place + 1} of {len(tree.steps)}" if marked else "the whole recording"
    return timeline_of(label, rows, PARTS, names, end_ns - start_ns)


def _rows(tree: OpTree, step: Step, names: Names) -> list[Row]:
    starts, thread = np.array(tree.start_ns, dtype=np.int64), np.array(tree.thread, dtype=np.int64)
    ends = starts + np.array(tree.duration_ns, dtype=np.int64)
    inside = (starts < step.end_ns) & (ends > step.start_ns)
    roots = inside & (np.array(tree.parent) < 0)
    busy = {int(each): int((ends - starts)[roots & (thread == each)].sum()) for each in np.unique(thread[roots])}
    others = sorted((each for each in busy if each != tree.main_thread), key=lambda each: (-busy[each], each))
    rows = []
    for place in [tree.main_thread, *others[: _MOST_THREADS - 1]]:
        mine = np.flatnonzero(inside & (thread == place))
        asked = _requests(tree, step, place)
        shown = innermost(
            np.concatenate((starts[mine], tree.trace.start_ns[asked])),
            np.concatenate((ends[mine], tree.trace.ends_of(asked))),
            np.array([_PART[tree.op_class[i]] for i in mine.tolist()] + [_PART["data"]] * len(asked), dtype=np.int64),
            np.array([names.number(tree.names[i]) for i in mine.tolist()] + [-1] * len(asked), dtype=np.int64),
            step.start_ns,
            step.end_ns,
        )
        if place == tree.main_thread:
            elsewhere = roots & (thread != place)
            cover = Cover(starts[elsewhere], ends[elsewhere])
            shown = with_python(shown, _PART["python"], cover, step.start_ns, step.end_ns)
        rows.append(Row("host", _label(tree, place, others), shifted(shown, step.start_ns)))
    return [row for row in rows if len(row.stretches)]


def _requests(tree: OpTree, step: Step, place: int) -> Ints:
    """Rows of the trace in which this thread asks a loader for a batch: no operators, but neither Python's time."""
    trace = tree.trace
    inside = (trace.start_ns < step.end_ns) & (trace.end_ns > step.start_ns) & (trace.places_of() == place)
    asks = trace.annotations() & trace.matches(lambda name: class_of_annotation(name) == "data")
    return np.flatnonzero(asks & inside)


def _label(tree: OpTree, place: int, others: list[int]) -> str:
    if place == tree.main_thread:
        return "Training thread"
    engine = any(
        name.startswith("autograd::engine") for name, at in zip(tree.names, tree.thread, strict=True) if at == place
    )
    return "Autograd thread" if engine else f"Another thread ({others.index(place) + 1})"

"""The steps of the training loop: when each began and ended, and what its time went into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.run.schema import Window
from slowprobe.timeline.passes import cut_passes
from slowprobe.timeline.recording import KIND, Ints, Recording
from slowprobe.timeline.roles import BACKWARD, FORWARD, OPTIMIZER, START, STOP, WAIT, Roles

WARM_UP_STEPS = 3  # allocators, caches and lazy initialisation settle within the first few steps
_IN_STEP = (FORWARD, BACKWARD, OPTIMIZER, KIND["zero_grad"], KIND["scaler"])


@dataclass(frozen=True)
class StepBounds:
    """Recorded steps in order: [start, end) in ns, and whether each belongs to the steady state."""

    start: Ints
    end: Ints
    steady: npt.NDArray[np.bool_]
    first_of_pass: npt.NDArray[np.bool_]
    """The first step after an iterator was started: it pays for the start of the workers."""
    dropped: int = 0
    """Batches of the loader that drives the loop which were part of no step."""

    def __len__(self) -> int:
        return len(self.start)

    def index_of(self, times: Ints) -> Ints:
        """The step each time falls into; -1 outside every step."""
        index = np.searchsorted(self.start, times, side="right") - 1
        outside = (index < 0) | (times >= self.end[np.maximum(index, 0)])
        return np.where(outside, -1, index)


def find_steps(
    recording: Recording, roles: Roles, evaluation: npt.NDArray[np.bool_], roots: npt.NDArray[np.intp]
) -> StepBounds:
    """Cut the recorded spans into steps.

    `roots` indexes the outermost spans of `recording.spans` in order of time; `evaluation` marks those that are a part
    of an evaluation.
    """
    none, dropped = np.empty(0, dtype=np.int64), 0
    if not roles.boundaries:
        return StepBounds(none, none, none.astype(bool), none.astype(bool))
    spans = recording.spans
    subjects = [number for _, number in roles.boundaries]
    kind, subject = spans.kind[roots], spans.subject[roots]
    start, end = spans.start[roots], spans.end[roots]
    working = np.isin(kind, _IN_STEP) & ~evaluation
    if roles.unit == "batch":
        mine = np.isin(subject, subjects)
        requests, openers, stops = (start[(kind == of) & mine] for of in (WAIT, START, STOP))
        training = start[np.isin(kind, (BACKWARD, OPTIMIZER)) & ~evaluation]
        breaks = spans.start[1:][np.diff(spans.stretch) > 0]
        starts, ends, first, dropped = cut_passes(requests, openers, stops, start[working], training, breaks)
    else:
        bounds = (spans.kind == roles.boundaries[0][0]) & np.isin(spans.subject, subjects)
        ends = np.sort(spans.end[bounds])
        opening = start[working | np.isin(kind, (WAIT,)) & ~evaluation]
        starts = np.concatenate([opening[:1] if len(opening) and len(ends) else none, ends[:-1]])
        first = np.arange(len(starts)) == 0
    # A step that nothing follows ends with its last piece of work, not with the run. So does one before an evaluation.
    last_work = _last_work_in(starts, ends, end[working])
    breaks = start[evaluation]
    cut = np.minimum(ends, np.maximum(_next_after(starts, breaks), last_work))
    unbounded = cut == np.iinfo(np.int64).max
    cut = np.where(unbounded, np.maximum(last_work, starts), cut)
    return StepBounds(starts, cut, _steady(recording, starts, cut), first, dropped)


def _next_after(times: Ints, marks: Ints) -> Ints:
    """The first mark strictly after each time; the largest integer where there is none."""
    marks = np.append(marks, np.iinfo(np.int64).max)
    return marks[np.searchsorted(marks, times, side="right")]


def _last_work_in(starts: Ints, ends: Ints, work_ends: Ints) -> Ints:
    work_ends = np.sort(work_ends)
    position = np.searchsorted(work_ends, ends, side="right") - 1
    last = np.where(position >= 0, work_ends[np.maximum(position, 0)] if len(work_ends) else 0, starts)
    return np.maximum(last, starts)


def _steady(recording: Recording, start: Ints, end: Ints) -> npt.NDArray[np.bool_]:
    steady = np.ones(len(start), dtype=bool)
    steady[: min(WARM_UP_STEPS, max(len(start) - 1, 0) // 2)] = False
    disturbances = [(window.opened_ns, window.resumed_ns) for window in recording.run.of(Window)]
    spans = recording.spans
    compiled = spans.kind == KIND["compile"]
    disturbances += list(zip(spans.start[compiled].tolist(), spans.end[compiled].tolist(), strict=True))
    for begin, finish in disturbances:
        steady &= ~((start < finish) & (end > begin))
    return steady

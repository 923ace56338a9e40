"""Gives every recorded span, and every gap between outermost spans, its scope and bucket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.run.schema import KINDS
from slowprobe.timeline.recording import KIND, Ints, Recording
from slowprobe.timeline.roles import (
    BACKWARD,
    EVALUATION,
    FORWARD,
    OPTIMIZER,
    START,
    STOP,
    TRAINING,
    WAIT,
    Roles,
)
from slowprobe.timeline.steps import StepBounds, find_steps

Label = tuple[str, str]
"""(scope, bucket)."""

SCOPES = ("startup", "step", "off_step", "shutdown")
PYTHON = "python"
GC, SAVE, OWN = KIND["gc"], KIND["save"], KIND["slowprobe"]
_EVALUATION_BUCKET = "evaluation"
_BUCKET_OF_KIND = [
    {"loader_start": "epoch", "loader_end": "epoch", "save": "checkpoint", "closure": PYTHON}.get(kind, kind)
    for kind in KINDS
]
_MAX = np.iinfo(np.int64).max
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """Labels as numbers into `names`; `span[i]` for `recording.spans` row i, `gap[i]` for the gap before root i+1.

    roots: rows of the outermost spans that are no garbage collection, in order; gap_start, gap_ns: the gaps between
    neighbours of one stretch (gap_ns -1 where spans are missing in between).
    """

    names: list[Label]
    span: Ints
    span_step: Ints
    """Step of each span; -1 for none."""
    roots: npt.NDArray[np.intp]
    gap: Ints
    gap_start: Ints
    gap_ns: Ints
    gap_step: Ints
    steps: StepBounds
    loop_start_ns: int
    loop_end_ns: int

    def number(self, label: Label) -> int:
        """The number of a label."""
        return self.names.index(label)


def label_run(recording: Recording, roles: Roles) -> Labels:
    """Label everything that was recorded span by span."""
    spans = recording.spans
    roots = np.flatnonzero((spans.depth == 0) & (spans.kind != GC))
    evaluation = _evaluations(recording, roles, roots)
    steps = find_steps(recording, roles, evaluation, roots)
    kind, start, end = spans.kind[roots], spans.start[roots], spans.end[roots]
    loop_start, loop_end = _loop(roles, recording, roots, evaluation, steps)

    names: list[Label] = []
    table: dict[Label, int] = {}

    def number(scope: str, bucket: str) -> int:
        label = (scope, bucket)
        if label not in table:
            table[label] = len(names)
            names.append(label)
        return table[label]

    step_of_root = steps.index_of(start) if len(steps) else np.full(len(roots), -1, dtype=np.int64)
    root_scope = np.where(step_of_root >= 0, 1, 2)
    off_step = evaluation | np.isin(kind, (SAVE, OWN, STOP)) | (kind == START)
    root_scope = np.where(off_step, 2, root_scope)
    root_scope = np.where(end <= loop_start, 0, np.where(start >= loop_end, 3, root_scope))

    # Nested spans lie in their root; a collection between roots belongs to the gap it interrupts.
    owner = np.searchsorted(start, spans.start, side="right") - 1
    inside = (owner >= 0) & (spans.start < end[np.maximum(owner, 0)]) if len(roots) else np.zeros(len(spans), bool)
    owner = np.maximum(owner, 0)

    gap_start, gap_ns = end[:-1], start[1:] - end[:-1]
    if len(roots) > 1:
        same = spans.stretch[roots[1:]] == spans.stretch[roots[:-1]]
        gap_ns = np.where(
            same, gap_ns - _collections_between(spans.start, spans.duration, spans.kind, spans.depth, end), -1
        )
    gap_step = steps.index_of(gap_start) if len(steps) else np.full(len(gap_start), -1, dtype=np.int64)
    gap_eval = evaluation[:-1] | evaluation[1:]
    # A trainer that asks one batch ahead trains on after the request that found none.
    turnover = (kind[:-1] == START) | (kind[1:] == START) | ((kind[:-1] == STOP) & (gap_step < 0))
    gap_scope = np.where((gap_step >= 0) & ~gap_eval & ~turnover, 1, 2)
    gap_scope = np.where(start[1:] <= loop_start, 0, np.where(gap_start >= loop_end, 3, gap_scope))
    gap = np.array(
        [
            number(SCOPES[scope], _gap_bucket(scope, bool(is_eval), bool(turn)))
            for scope, is_eval, turn in zip(gap_scope.tolist(), gap_eval.tolist(), turnover.tolist(), strict=True)
        ],
        dtype=np.int64,
    )

    if len(roots):
        scope_of_span = np.where(
            inside, root_scope[owner], _gap_scope_at(spans.start, gap_scope, owner, loop_start, loop_end)
        )
        eval_of_span = inside & evaluation[owner]
        step_of_span = np.where(inside, step_of_root[owner], steps.index_of(spans.start) if len(steps) else -1)
        # Opening a window makes thousands of objects: a collection meanwhile is slowprobe's doing, not the loop's.
        kind_of_span = np.where((spans.kind == GC) & inside & (kind[owner] == OWN), OWN, spans.kind)
    else:
        scope_of_span = np.zeros(len(spans), dtype=np.int64)
        eval_of_span = np.zeros(len(spans), dtype=bool)
        step_of_span = np.full(len(spans), -1, dtype=np.int64)
        kind_of_span = spans.kind
    combos = scope_of_span * 1000 + kind_of_span * 2 + eval_of_span
    unique, index = np.unique(combos, return_inverse=True)
    numbers = [number(SCOPES[c // 1000], _span_bucket(c // 1000, c % 1000 // 2, bool(c % 2))) for c in unique.tolist()]
    span = np.asarray(numbers, dtype=np.int64)[index.ravel()] if len(unique) else np.empty(0, dtype=np.int64)
    return Labels(names, span, step_of_span, roots, gap, gap_start, gap_ns, gap_step, steps, loop_start, loop_end)


def _span_bucket(scope: int, kind: int, is_evaluation: bool) -> str:
    if KINDS[kind] == "slowprobe":
        return "slowprobe"
    if SCOPES[scope] in ("startup", "shutdown"):
        return SCOPES[scope]
    return _EVALUATION_BUCKET if is_evaluation else _BUCKET_OF_KIND[kind]


def _gap_bucket(scope: int, is_evaluation: bool, turnover: bool) -> str:
    if SCOPES[scope] in ("startup", "shutdown"):
        return SCOPES[scope]
    if is_evaluation:
        return _EVALUATION_BUCKET
    return "epoch" if turnover else PYTHON


def _collections_between(start: Ints, duration: Ints, kind: Ints, depth: Ints, root_end: Ints) -> Ints:
    loose = (kind == GC) & (depth == 0)
    gap = np.searchsorted(root_end, start[loose], side="right") - 1
    sums = np.zeros(len(root_end) - 1, dtype=np.int64)
    valid = (gap >= 0) & (gap < len(sums))
    np.add.at(sums, gap[valid], duration[loose][valid])
    return sums


def _gap_scope_at(times: Ints, gap_scope: Ints, owner: Ints, loop_start: int, loop_end: int) -> Ints:
    scope = gap_scope[np.minimum(owner, len(gap_scope) - 1)] if len(gap_scope) else np.full(len(times), 2)
    return np.where(times < loop_start, 0, np.where(times >= loop_end, 3, scope))


def _evaluations(recording: Recording, roles: Roles, roots: npt.NDArray[np.intp]) -> Flags:
    """Which outermost spans are a part of an evaluation: its loader, its forward passes, and all between them."""
    spans = recording.spans
    kind, subject = spans.kind[roots], spans.subject[roots]
    loaders = np.array(sorted(n for n, role in roles.loaders.items() if role == EVALUATION), dtype=np.int64)
    forwards = np.array(sorted(roles.evaluation_forwards), dtype=np.int64)
    from_loader = np.isin(kind, (WAIT, START, STOP))
    sure = (from_loader & np.isin(subject, loaders)) | ((kind == FORWARD) & np.isin(subject, forwards))
    # A forward pass after an evaluation batch is evaluation, whatever mode the module is in.
    position = np.arange(len(roots))
    last_wait = np.maximum.accumulate(np.where(kind == WAIT, position, -1)) if len(roots) else position
    fed = np.where(last_wait >= 0, np.isin(subject[np.maximum(last_wait, 0)], loaders), False)
    last_work = (
        np.maximum.accumulate(np.where(np.isin(kind, (BACKWARD, OPTIMIZER)), position, -1)) if len(roots) else position
    )
    sure |= (kind == FORWARD) & fed & (last_work < last_wait)
    known = (
        sure
        | (from_loader & np.isin(subject, _training(roles)))
        | np.isin(kind, (FORWARD, BACKWARD, OPTIMIZER, KIND["zero_grad"]))
    )
    before = _fill_forward(np.where(known, sure.astype(np.int64), -1))
    after = _fill_forward(np.where(known, sure.astype(np.int64), -1)[::-1])[::-1]
    return np.asarray(sure | (~known & (before == 1) & (after == 1)), dtype=bool)


def _training(roles: Roles) -> Ints:
    return np.array(sorted(n for n, role in roles.loaders.items() if role == TRAINING), dtype=np.int64)


def _fill_forward(values: Ints) -> Ints:
    if not len(values):
        return values
    position = np.maximum.accumulate(np.where(values >= 0, np.arange(len(values)), 0))
    return values[position]


def _loop(
    roles: Roles, recording: Recording, roots: npt.NDArray[np.intp], evaluation: Flags, steps: StepBounds
) -> tuple[int, int]:
    """When the training loop began and ended.

    It begins with the first step, or the start of the iterator that feeds it, and ends with the last step, or with
    what follows it and had a place in the loop before: the evaluation, checkpoint or message of the last epoch.
    """
    if not len(steps):
        return _MAX, _MAX
    spans = recording.spans
    kind, subject = spans.kind[roots], spans.subject[roots]
    start, end = spans.start[roots], spans.end[roots]
    first, last = int(steps.start[0]), int(steps.end[-1])
    feeding = [number for key, number in roles.boundaries if key == WAIT] or [roles.primary or 0]
    opening = (kind == START) & np.isin(subject, feeding) & (end <= first)
    if opening.any():
        first = int(start[opening][-1])
    first_end, last_start = int(steps.end[0]), int(steps.start[-1])
    within = (start >= first_end) & (start < last_start)
    familiar = set(zip(kind[within].tolist(), subject[within].tolist(), strict=True))
    for index in np.flatnonzero(start >= last):
        if (int(kind[index]), int(subject[index])) in familiar or kind[index] == STOP:
            last = int(end[index])
        elif kind[index] != OWN:
            break
    return first, last

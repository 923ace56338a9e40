"""Which source lines launch the operators of a step, and what those lines would cost with equal operators batched.

Where a line comes from, best first:
1. `slowprobe.line#<line>#<function>#<file>` marks, zero-length annotations that capture emits when the training thread
   reaches a line of the user's (function and file percent-encoded: Kineto replaces names with quotes or non-ASCII
   letters by "unknown"). An operator belongs to the last mark before it: the innermost user frame's current line.
2. Python frames of `with_stack=True`. torch 2.13 writes the line where the function *begins*, so these are totals a
   function, not a line; files are relative to the entry of sys.path they were found under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Literal
from urllib.parse import unquote

import numpy as np

from slowprobe.timeline.op_bound import LAUNCH_GAP_US
from slowprobe.timeline.op_classes import OpClass
from slowprobe.timeline.op_cost import FixedCost, batched_ns
from slowprobe.timeline.op_timing import CleanTiming
from slowprobe.timeline.op_tree import OpTree

MARK_PREFIX = "slowprobe.line#"
LinesBasis = Literal["line", "function", "none"]
Source = tuple[str, int, str]
"""File, line, function."""


@dataclass(frozen=True, slots=True)
class LineOp:
    """One distinct operator launched from a source line."""

    name: str
    op_class: OpClass
    count: int
    total_ms: float
    median_numel: int | None
    """Elements of the largest input; None without recorded shapes."""


@dataclass(frozen=True, slots=True)
class SourceOps:
    """What a source line (a function, if `OpWindow.lines_basis` says so) launches in a step, with clean times."""

    file: str
    line: int
    function: str
    launches: int
    """Outermost operators launched while this was the innermost user line."""
    backward_launches: int
    """Nodes of the backward engine that differentiate operators of this line."""
    ops: tuple[LineOp, ...]
    """By count, largest first; forward only."""
    median_numel: int | None
    """Over launches, elements of the largest input; None without recorded shapes."""
    forward_ms: float
    backward_ms: float
    dispatch_ms: float
    """Of forward and backward: fixed cost."""
    launch_gap_ms: float
    """Short gaps before its launches: interpreter and argument parsing."""
    batched_ms: float
    """Forward, backward and gaps if equal operators of the line ran as one each: see `op_cost.batched_ns`."""
    backward_gap_ms: float = 0.0
    """Of `launch_gap_ms`, before nodes of the backward engine."""

    @property
    def total_ms(self) -> float:
        """All of the step's time that belongs to this line."""
        return self.forward_ms + self.backward_ms + self.launch_gap_ms

    @property
    def most_repeated(self) -> LineOp | None:
        """The operator launched most often from here."""
        return self.ops[0] if self.ops else None


def read_lines(
    annotated: OpTree, clean: OpTree, cost: FixedCost, is_user: Callable[[str], bool]
) -> tuple[tuple[SourceOps, ...], LinesBasis, list[str]]:
    """Source lines of the annotated step with the clean window's times."""
    if not annotated.steps:
        return (), "none", ["the annotated step has no operators"]
    step = annotated.steps[0]
    placed, forward_of, basis = launch_sources(annotated, is_user)
    if basis == "none":
        return (), basis, ["the annotated step has no user source lines"]
    timing = CleanTiming(annotated, clean, cost)
    members: dict[Source, tuple[list[int], list[int]]] = {}
    unplaced = 0
    for position in step.launches:
        source = placed[position]
        if source is None:
            unplaced += 1
            continue
        members.setdefault(source, ([], []))[position in forward_of].append(position)
    lines = [_line(annotated, timing, source, *positions) for source, positions in members.items()]
    lines.sort(key=lambda line: line.batched_ms - line.total_ms)
    notes = [f"{unplaced} operators of the annotated step were launched from no user line"] if unplaced else []
    return tuple(lines), basis, notes + timing.notes


def launch_sources(
    tree: OpTree, is_user: Callable[[str], bool]
) -> tuple[dict[int, Source | None], dict[int, int], LinesBasis]:
    """Of the first step's launches: the line of each, and for those of the backward engine what they differentiate.

    A launch of the backward engine belongs to the line of the operator that it differentiates.
    """
    launches = tree.steps[0].launches
    basis, places = _sources(tree, is_user)
    at = dict(zip(launches, _at_each(tree, launches, places), strict=True))
    forward_of = _forward_of(tree, launches)
    return {position: at[forward_of.get(position, position)] for position in launches}, forward_of, basis


def _line(tree: OpTree, timing: CleanTiming, source: Source, forward: list[int], backward: list[int]) -> SourceOps:
    both = forward + backward
    by_name: dict[str, list[int]] = {}
    for i in forward:
        by_name.setdefault(tree.names[i], []).append(i)
    ops = [
        LineOp(
            name=name,
            op_class=tree.op_class[calls[0]],
            count=len(calls),
            total_ms=sum(timing.duration_ns[i] for i in calls) / 1e6,
            median_numel=_median_numel(tree, calls),
        )
        for name, calls in by_name.items()
    ]
    gaps = {i: timing.gap_ns[i] for i in both if timing.gap_ns[i] <= LAUNCH_GAP_US * 1000}
    calls = ((tree.names[i], timing.duration_ns[i], timing.dispatch_ns[i]) for i in both)
    distinct_gaps = batched_ns((tree.names[i], gap, gap) for i, gap in gaps.items())
    return SourceOps(
        file=source[0],
        line=source[1],
        function=source[2],
        launches=len(forward),
        backward_launches=len(backward),
        ops=tuple(sorted(ops, key=lambda op: -op.count)),
        median_numel=_median_numel(tree, forward),
        forward_ms=sum(timing.duration_ns[i] for i in forward) / 1e6,
        backward_ms=sum(timing.duration_ns[i] for i in backward) / 1e6,
        dispatch_ms=sum(timing.dispatch_ns[i] for i in both) / 1e6,
        launch_gap_ms=sum(gaps.values()) / 1e6,
        batched_ms=(batched_ns(calls) + distinct_gaps) / 1e6,
        backward_gap_ms=sum(gaps.get(i, 0) for i in backward) / 1e6,
    )


def _median_numel(tree: OpTree, positions: list[int]) -> int | None:
    numels = [numel for i in positions if (numel := tree.trace.numel(tree.rows[i])) is not None]
    return int(median(numels)) if numels else None


def _forward_of(tree: OpTree, launches: list[int]) -> dict[int, int]:
    """For backward launches: the outermost forward operator of the training thread that made the node.

    Every operator carries the number the *next* node will get, so that of several with one number the last to start
    made the node. Numbers count per thread and only grow, so the latest step's are found before its backward.
    """
    maker: dict[int, int] = {}
    found: dict[int, int] = {}
    is_launch = set(launches)
    for i, row in enumerate(tree.rows):
        sequence = int(tree.trace.sequence[row])
        if sequence < 0 or tree.thread[i] != tree.main_thread:
            continue
        if tree.trace.forward_thread[row] > 0:
            if i in is_launch and sequence in maker:
                found[i] = maker[sequence]
        elif tree.root[i] in is_launch:
            maker[sequence] = tree.root[i]
    return found


def _sources(tree: OpTree, is_user: Callable[[str], bool]) -> tuple[LinesBasis, list[tuple[int, int, Source | None]]]:
    """Stretches (start, end, source) of the training thread; a later one hides an earlier one while it lasts.

    No source: where marks ran out.
    """
    trace = tree.trace
    mine = trace.places_of() == tree.main_thread
    marks = np.flatnonzero(mine & trace.matches(lambda name: name.startswith(MARK_PREFIX))).tolist()
    if marks:
        never = int(trace.end_ns.max()) + 1
        return "line", [(int(trace.start_ns[row]), never, _mark(trace.names[trace.name_id[row]])) for row in marks]
    frames = np.flatnonzero(mine & trace.is_category("python_function")).tolist()
    known = {name: _frame(name) for name in trace.names}
    stretches: list[tuple[int, int, Source | None]] = [
        (int(trace.start_ns[row]), int(trace.start_ns[row] + trace.duration_ns[row]), source)
        for row in frames
        if (source := known[trace.names[trace.name_id[row]]]) is not None and is_user(source[0])
    ]
    return ("function" if stretches else "none"), stretches


def _at_each(
    tree: OpTree, launches: list[int], places: list[tuple[int, int, Source | None]]
) -> Iterator[Source | None]:
    """The innermost source open at the start of each launch."""
    open_places: list[tuple[int, int, Source | None]] = []
    at = 0
    for i in launches:
        start = tree.start_ns[i]
        while at < len(places) and places[at][0] <= start:
            while open_places and open_places[-1][1] <= places[at][0]:
                open_places.pop()
            open_places.append(places[at])
            at += 1
        while open_places and open_places[-1][1] <= start:
            open_places.pop()
        yield open_places[-1][2] if open_places else None


def _mark(name: str) -> Source | None:
    line, _, rest = name.removeprefix(MARK_PREFIX).partition("#")
    function, _, file = rest.partition("#")
    return (unquote(file), int(line), unquote(function)) if line.isdigit() and file else None


def _frame(name: str) -> Source | None:
    """`file.py(12): function` of the Python tracer."""
    head, separator, function = name.partition("): ")
    file, bracket, line = head.rpartition("(")
    return (file, int(line), function) if separator and bracket and line.isdigit() else None

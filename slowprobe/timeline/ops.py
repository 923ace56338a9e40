"""Operators of a CPU window: what they cost by name and class, what bounds the step, and the lines that launch them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Literal

from slowprobe.errors import TraceError
from slowprobe.timeline.op_bound import Bound, StepShares, decide, shares_of
from slowprobe.timeline.op_classes import OpClass, classify
from slowprobe.timeline.op_cost import FixedCost, fixed_cost, percentile, subtree_dispatch_ns
from slowprobe.timeline.op_lines import LinesBasis, SourceOps, read_lines
from slowprobe.timeline.op_tree import OpTree, build_tree
from slowprobe.trace.reader import Trace, read_trace


@dataclass(frozen=True, slots=True)
class OpStat:
    """One operator by name, per step, on all threads."""

    name: str
    op_class: OpClass
    """By name alone; the shares of `OpWindow.classes` also know where it ran."""
    count: float
    outermost: float
    """Calls that no other operator made: launched by Python or by the backward engine."""
    self_ms: float
    total_ms: float
    """Nested operators included; outermost calls only, so that totals of different names never overlap."""
    median_self_us: float
    fixed_us: float
    """Fixed cost of one call."""


@dataclass(frozen=True, slots=True)
class ClassStat:
    """One class of operators, per step, on all threads."""

    op_class: OpClass
    count: float
    self_ms: float
    share: float
    """Of all operator self time."""


@dataclass(frozen=True, slots=True)
class DurationSpread:
    """Durations of outermost operators of the training thread."""

    mean_us: float
    p10_us: float
    median_us: float
    p90_us: float
    time_share_below: dict[int, float]
    """Share of operator time spent in operators shorter than so many µs: 10, 50, 100, 1000."""
    count_share_below: dict[int, float]


@dataclass(frozen=True, slots=True)
class OpWindow:
    """Evidence from the clean window, and from the annotated step where there is one. Times are as profiled."""

    steps: int
    step_basis: Literal["slowprobe.step", "ProfilerStep", "whole"]
    events: int
    """Rows of the clean trace."""
    step_ms: float
    """Median."""
    steps_ms: tuple[float, ...]
    ops: tuple[OpStat, ...]
    """By self time, largest first."""
    classes: tuple[ClassStat, ...]
    """By self time, largest first."""
    launches_per_step: float
    """Outermost operators of the training thread, without those of the data loader."""
    dispatches_per_step: float
    """All operators, nested ones and those of other threads included."""
    launch_cost_us: float
    """Mean fixed price of one launch: its fixed cost, that of what is nested in it, and the short gap before it."""
    durations: DurationSpread
    dispatch_overhead_us: float
    """Typical fixed cost of one operator."""
    overhead_basis: Literal["measured", "default"]
    dispatch_share: float
    """Fixed cost of all operators of the training thread over step time (`shares.dispatch`)."""
    shares: StepShares
    bound: Bound
    bound_text: str
    lines: tuple[SourceOps, ...] = ()
    """By what would be saved if equal operators of the line ran as one, largest first."""
    lines_basis: LinesBasis = "none"
    warnings: tuple[str, ...] = field(default=())
    tree: OpTree | None = field(default=None, repr=False)
    """Of the clean window."""


def read_window(
    clean_path: Path, annotated_path: Path | None = None, is_user: Callable[[str], bool] | None = None
) -> OpWindow:
    """Reads a clean window and, where there is one, its annotated step: see `op_window`."""
    return op_window(read_trace(clean_path), annotated_path, is_user)


def op_window(
    trace: Trace, annotated_path: Path | None = None, is_user: Callable[[str], bool] | None = None
) -> OpWindow:
    """The operators of a clean window and, where there is one, of its annotated step.

    `is_user` tells whether a file in the Python frames of the annotated step is the user's; without it, all that is not
    in site-packages, the standard library, torch or slowprobe by its path. Line marks are the user's: capture chose.
    """
    tree = build_tree(trace)
    if not tree.names:
        raise TraceError(f"{trace.path}: no operators in this trace")
    cost = fixed_cost(tree)
    dispatch_ns = subtree_dispatch_ns(tree, cost)
    shares = shares_of(tree, dispatch_ns)
    steps_ms = tuple((step.end_ns - step.start_ns) / 1e6 for step in tree.steps)
    launches = [i for step in tree.steps for i in step.launches]
    bound, bound_text = decide(shares, len(launches) / len(tree.steps))
    lines: tuple[SourceOps, ...] = ()
    basis: LinesBasis = "none"
    warnings = list(trace.warnings)
    if annotated_path is not None:
        try:
            annotated = build_tree(read_trace(annotated_path))
            warnings += annotated.trace.warnings
            lines, basis, notes = read_lines(annotated, tree, cost, is_user or _looks_like_user)
            warnings += notes
        except TraceError as error:  # the clean window stands on its own
            warnings.append(f"no source lines: {error}")
    return OpWindow(
        steps=len(tree.steps),
        step_basis=tree.step_basis,
        events=len(trace),
        step_ms=median(steps_ms),
        steps_ms=steps_ms,
        ops=_by_name(tree, cost),
        classes=_by_class(tree),
        launches_per_step=len(launches) / len(tree.steps),
        dispatches_per_step=sum(step >= 0 for step in tree.step_of) / len(tree.steps),
        launch_cost_us=(shares.dispatch + shares.launch_gap) * sum(steps_ms) * 1000 / max(1, len(launches)),
        durations=_spread([tree.duration_ns[i] / 1000 for i in launches]),
        dispatch_overhead_us=cost.typical_us,
        overhead_basis=cost.basis,
        dispatch_share=shares.dispatch,
        shares=shares,
        bound=bound,
        bound_text=bound_text,
        tree=tree,
        lines=lines,
        lines_basis=basis,
        warnings=tuple(warnings),
    )


def _by_name(tree: OpTree, cost: FixedCost) -> tuple[OpStat, ...]:
    members: dict[str, list[int]] = {}
    for i, step in enumerate(tree.step_of):
        if step >= 0:
            members.setdefault(tree.names[i], []).append(i)
    steps = len(tree.steps)
    stats = []
    for name, positions in members.items():
        outermost = [i for i in positions if tree.root[i] == i]
        self_us = [tree.self_ns[i] / 1000 for i in positions]
        stats.append(
            OpStat(
                name=name,
                op_class=classify(name),
                count=len(positions) / steps,
                outermost=len(outermost) / steps,
                self_ms=sum(self_us) / 1000 / steps,
                total_ms=sum(tree.duration_ns[i] for i in outermost) / 1e6 / steps,
                median_self_us=median(self_us),
                fixed_us=fmean(cost.dispatch_ns(name, tree.self_ns[i]) for i in positions) / 1000,
            )
        )
    return tuple(sorted(stats, key=lambda stat: -stat.self_ms))


def _by_class(tree: OpTree) -> tuple[ClassStat, ...]:
    totals: dict[OpClass, tuple[int, int]] = {}
    for i, step in enumerate(tree.step_of):
        if step >= 0:
            count, self_ns = totals.get(tree.op_class[i], (0, 0))
            totals[tree.op_class[i]] = count + 1, self_ns + tree.self_ns[i]
    steps, everything = len(tree.steps), sum(self_ns for _, self_ns in totals.values()) or 1
    stats = [
        ClassStat(op_class, count / steps, self_ns / 1e6 / steps, self_ns / everything)
        for op_class, (count, self_ns) in totals.items()
    ]
    return tuple(sorted(stats, key=lambda stat: -stat.self_ms))


def _spread(durations_us: list[float]) -> DurationSpread:
    total, limits = sum(durations_us) or 1.0, (10, 50, 100, 1000)
    return DurationSpread(
        mean_us=fmean(durations_us) if durations_us else 0.0,
        p10_us=percentile(durations_us, 10),
        median_us=percentile(durations_us, 50),
        p90_us=percentile(durations_us, 90),
        time_share_below={limit: sum(d for d in durations_us if d < limit) / total for limit in limits},
        count_share_below={limit: sum(d < limit for d in durations_us) / max(1, len(durations_us)) for limit in limits},
    )


def _looks_like_user(file: str) -> bool:
    parts = file.replace("\\", "/").split("/")
    foreign = {"site-packages", "dist-packages", "torch", "slowprobe"}.intersection(parts)
    standard = any(part.startswith("python3.") for part in parts)
    return not (foreign or standard or file.startswith(("<", "frozen ")))

"""Operators that compute in float64, by the lines that launch them: their work, without what starting them costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from slowprobe.timeline.op_cost import fixed_cost
from slowprobe.timeline.op_lines import Source, launch_sources
from slowprobe.timeline.op_timing import CleanTiming
from slowprobe.timeline.op_tree import OpTree

DOUBLE = ("double", "c10::complex<double>")
SINGLE = ("float", "c10::BFloat16", "c10::Half", "c10::complex<float>")


@dataclass(frozen=True, slots=True)
class DoubleWork:
    """One line's; shares are of a clean step without its data time: annotating makes the annotated one longer."""

    source: Source
    forward: float
    backward: float
    optimizer: float
    enters: bool
    """Whether it is the first with an operator that has float32 and float64 inputs: there, float64 gets in."""
    ops: tuple[str, ...]
    """By time, largest first."""

    @property
    def share(self) -> float:
        """All of it."""
        return self.forward + self.backward + self.optimizer


def double_work(tree: OpTree, clean: OpTree, is_user: Callable[[str], bool]) -> list[DoubleWork] | None:
    """The lines by float64 work, largest first; None without recorded types. clean: steps recorded without types."""
    if not tree.steps:
        return None
    step = tree.steps[0]
    sources, forward_of, _ = launch_sources(tree, is_user)
    cost = fixed_cost(tree)
    timing = CleanTiming(tree, clean, fixed_cost(clean))
    known = False
    sums: dict[Source, dict[str, int]] = {}
    names: dict[Source, dict[str, int]] = {}
    enters: Source | None = None
    for i, row in enumerate(tree.rows):
        types = _types(tree.trace.input_types(row), tree.trace.input_dims(row))
        known = known or types is not None
        source = sources.get(tree.root[i])
        if source is None or types is None or not types.intersection(DOUBLE):
            continue
        if tree.op_class[tree.root[i]] == "optimizer":
            part = "optimizer"
        else:
            part = "backward" if tree.root[i] in forward_of else "forward"
        annotated_ns = tree.self_ns[i] - cost.dispatch_ns(tree.names[i], tree.self_ns[i])
        root = tree.root[i]
        slower = tree.duration_ns[root] / max(1, timing.duration_ns.get(root, tree.duration_ns[root]))
        work = round(annotated_ns / slower) if slower else 0
        sums.setdefault(source, {"forward": 0, "backward": 0, "optimizer": 0})[part] += work
        by_name = names.setdefault(source, {})
        by_name[tree.names[i]] = by_name.get(tree.names[i], 0) + work
        if enters is None and tree.root[i] == i and part == "forward" and types.intersection(SINGLE):
            enters = source
    if not known:
        return None
    length = max(1.0, median(each.end_ns - each.start_ns - each.data_ns for each in clean.steps or [step]))
    found = [
        DoubleWork(
            source,
            forward=parts["forward"] / length,
            backward=parts["backward"] / length,
            optimizer=parts["optimizer"] / length,
            enters=source == enters,
            ops=tuple(sorted(names[source], key=lambda name: -names[source][name])[:4]),
        )
        for source, parts in sums.items()
    ]
    return sorted(found, key=lambda work: -work.share)


def _types(types: list[Any] | None, dims: list[Any] | None) -> set[str] | None:
    """Of the inputs that have dimensions: Python's numbers come as float64 tensors without, and change no type."""
    if types is None or dims is None:
        return None
    return {each for each, size in zip(types, dims, strict=False) if size and isinstance(each, str)}

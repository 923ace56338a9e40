"""How much of the backward pass makes gradients that nobody uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from slowprobe.run.gradient_record import GradientUse
from slowprobe.timeline.op_tree import build_tree
from slowprobe.trace.reader import read_trace

NodeTimes = dict[str, list[list[float]]]
"""By node, a list for each profiled step: milliseconds, in the order in which they ran."""

PREFIX = "autograd::engine::evaluate_function: "
_USEFUL, _PARTLY, _WASTED = 0, 1, 2
_LEAF = "torch::autograd::AccumulateGrad"  # runs as soon as its gradient is there, out of order
_NORMS = ("NativeLayerNorm", "NativeBatchNorm", "NativeGroupNorm", "CudnnBatchNorm")
_PRODUCTS = ("Addmm", "Mm", "Linear", "Convolution", "MkldnnConvolution", "Bmm", "Baddbmm")
"""Their backward is two products of the same size, one for the weight's gradient and one for the input's."""


@dataclass(frozen=True)
class WastedBackward:
    """Shares of the backward passes' time that make unused gradients."""

    low: float
    expected: float
    high: float
    basis: str
    """``times``: of each node; ``counts``: all nodes taken as equal, for nothing was profiled."""
    by_subject: dict[int, float]
    """The expected share, of all passes, by the subject of the pass's line."""
    passed_on: bool = False
    """Whether a layer makes an unused gradient on the way to a used one: something below it learns."""


def node_times(clean: Path) -> NodeTimes:
    """The nodes that the backward engine ran in each step of a clean window."""
    tree = build_tree(read_trace(clean))
    found: NodeTimes = {}
    for i, name in enumerate(tree.names):
        if name.startswith(PREFIX) and tree.step_of[i] >= 0 and tree.root[i] == i:
            steps = found.setdefault(name.removeprefix(PREFIX), [[] for _ in tree.steps])
            steps[tree.step_of[i]].append(tree.duration_ns[i] / 1e6)
    return found


def wasted_backward(use: GradientUse, times: NodeTimes) -> WastedBackward:
    """Weighs the nodes of the turn that was read by what the same nodes took in the profiled steps."""
    expected_count = _count(use)
    seen: dict[str, int] = {}
    total = sure = half = rest = 0.0
    by_subject: dict[int, float] = {}
    for subject, nodes, fates in zip(use.subjects, use.nodes, use.fates, strict=True):
        for node, fate in zip(nodes, fates, strict=True):
            name = use.names[node]
            position = seen.get(name, 0)
            seen[name] = position + 1
            ms = _time(times, name, position, expected_count[name]) if times else 1.0
            total += ms
            if fate == _WASTED:
                sure += ms
                by_subject[subject] = by_subject.get(subject, 0.0) + ms
            elif fate == _PARTLY and _is_product(name):
                half += ms
                by_subject[subject] = by_subject.get(subject, 0.0) + ms / 2
            elif fate == _PARTLY:
                rest += ms
    if not total:
        return WastedBackward(0.0, 0.0, 0.0, "counts", {})
    return WastedBackward(
        low=(sure + 0.4 * half) / total,
        expected=(sure + 0.5 * half) / total,
        high=(sure + 0.6 * half + 0.5 * rest) / total,
        basis="times" if times else "counts",
        by_subject={subject: ms / total for subject, ms in by_subject.items()},
        passed_on=any(
            fate == _PARTLY and _is_layer(use.names[node])
            for nodes, fates in zip(use.nodes, use.fates, strict=True)
            for node, fate in zip(nodes, fates, strict=True)
        ),
    )


def _count(use: GradientUse) -> dict[str, int]:
    counts: dict[str, int] = {}
    for nodes in use.nodes:
        for node in nodes:
            counts[use.names[node]] = counts.get(use.names[node], 0) + 1
    return counts


def _time(times: NodeTimes, name: str, position: int, count: int) -> float:
    """Of the node at a position among those of its name; their mean where the profiled steps had another number."""
    steps = [step for step in times.get(name, []) if step]
    if not steps:
        return 0.0
    if name != _LEAF and all(len(step) == count for step in steps):
        return fmean(step[position] for step in steps)
    return sum(map(sum, steps)) / len(steps) / count


def _is_product(name: str) -> bool:
    return _operator(name) in _PRODUCTS


def _is_layer(name: str) -> bool:
    return _operator(name) in (*_PRODUCTS, *_NORMS)


def _operator(name: str) -> str:
    return name.partition("Backward")[0].rpartition("::")[2]

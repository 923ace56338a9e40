"""Embedding tables with dense gradients: what backward and the optimizer spend on rows that no batch asked for."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from slowprobe.timeline.op_cost import fixed_cost
from slowprobe.timeline.op_lines import Source, launch_sources
from slowprobe.timeline.op_timing import CleanTiming
from slowprobe.timeline.op_tree import OpTree

DENSE_BACKWARD = "aten::embedding_dense_backward"
SUMS = ("aten::add", "aten::add_")
_PRODUCTS = ("aten::linear", "aten::addmm", "aten::mm", "aten::matmul")


@dataclass(frozen=True, slots=True)
class DenseTable:
    """One shape of table; several of the same shape count together."""

    rows: int
    width: int
    asked: int
    """Rows that a batch asks for, repetitions included."""
    source: Source | None
    """The line that looks rows up."""
    backward: float
    """Making dense gradients and adding up those of several uses: share of the backward engine's time."""
    optimizer: float
    """Work on tensors of this shape: share of the optimizers' time."""
    multiplied: bool
    """A product has the table as its input, too (an output layer that shares the weights): its gradient is dense."""

    @property
    def touched(self) -> float:
        """At most so large a part of the rows is asked for."""
        return min(1.0, self.asked / self.rows)


def dense_tables(tree: OpTree, clean: OpTree, is_user: Callable[[str], bool]) -> list[DenseTable] | None:
    """The tables by their part of backward, largest first; None without recorded shapes.

    clean: steps recorded without shapes. Their times count: whether the memory of a gradient is mapped anew in each
    step (and what that costs) is up to what else the process allocates, and recording shapes allocates a lot.
    """
    if not tree.steps or not any(tree.trace.input_dims(row) for row in tree.rows):
        return None
    sources, forward_of, _ = launch_sources(tree, is_user)
    clean_ns = CleanTiming(tree, clean, fixed_cost(clean)).duration_ns
    backward_ns = sum(clean_ns[i] for i in forward_of)
    optimizer_ns = sum(clean_ns[i] for i in _optimizers(tree))
    found: dict[tuple[int, int], list[int]] = {}
    for i, name in enumerate(tree.names):
        if name == DENSE_BACKWARD and tree.root[i] in clean_ns and (rows := _rows_made(tree, i)):
            found.setdefault((rows, _width(tree, i)), []).append(i)
    tables = []
    for (rows, width), calls in found.items():
        of_table = [*calls, *_added_up(tree, rows, width, forward_of)]
        spent_ns = sum(tree.duration_ns[i] / tree.duration_ns[tree.root[i]] * clean_ns[tree.root[i]] for i in of_table)
        tables.append(
            DenseTable(
                rows,
                width,
                asked=max(prod(_dims(tree, i)[1]) for i in calls),
                source=next((source for i in calls if (source := sources.get(tree.root[i])) is not None), None),
                backward=min(1.0, spent_ns / backward_ns) if backward_ns else 0.0,
                optimizer=_in_optimizer(tree, rows, width, clean_ns) / optimizer_ns if optimizer_ns else 0.0,
                multiplied=_is_multiplied(tree, rows, width),
            )
        )
    return sorted(tables, key=lambda table: -table.backward)


def _optimizers(tree: OpTree) -> list[int]:
    return [i for i in tree.steps[0].launches if tree.op_class[i] == "optimizer"]


def _added_up(tree: OpTree, rows: int, width: int, backward: Container[int]) -> list[int]:
    """Sums of gradients of this shape that backward makes: of several look-ups, or onto those of earlier passes."""
    return [
        i
        for i, name in enumerate(tree.names)
        if name in SUMS
        and tree.root[i] in backward
        and (tree.parent[i] < 0 or tree.names[tree.parent[i]] not in SUMS)
        and (_dims(tree, i) or [[]])[0] == [rows, width]
    ]


def _dims(tree: OpTree, position: int) -> list[Any]:
    return tree.trace.input_dims(tree.rows[position]) or []


def _width(tree: OpTree, position: int) -> int:
    gradient = (_dims(tree, position) or [[]])[0]
    return int(gradient[-1]) if gradient else 0


def _rows_made(tree: OpTree, position: int) -> int:
    """Rows of the gradient: those of the tensor that is filled with zeros inside; 0 where that was not seen."""
    width, end = _width(tree, position), tree.start_ns[position] + tree.duration_ns[position]
    for i in range(position + 1, len(tree.names)):
        if tree.start_ns[i] > end:
            break
        dims = _dims(tree, i)
        if tree.names[i] in ("aten::zero_", "aten::fill_") and dims and len(dims[0]) == 2 and dims[0][1] == width:
            return int(dims[0][0])
    return 0


def _in_optimizer(tree: OpTree, rows: int, width: int, clean_ns: Mapping[int, int]) -> float:
    """ns of the optimizers' operators on tensors of this shape; of operators on lists, by elements."""
    spent = 0.0
    for i in _optimizers(tree):
        sizes = [(tuple(shape), prod(shape)) for shape in _shapes(_dims(tree, i))]
        elements = sum(size for _, size in sizes)
        mine = sum(size for shape, size in sizes if shape == (rows, width))
        spent += clean_ns[i] * mine / elements if elements else 0.0
    return spent


def _shapes(dims: list[Any]) -> Iterator[list[int]]:
    for each in dims:
        if isinstance(each, list) and each:
            if isinstance(each[0], list):
                yield from _shapes(each)
            else:
                yield each


def _is_multiplied(tree: OpTree, rows: int, width: int) -> bool:
    shapes = ([rows, width], [width, rows])
    return any(
        dims in shapes
        for i, name in enumerate(tree.names)
        if name in _PRODUCTS
        for dims in tree.trace.input_dims(tree.rows[i]) or ()
    )

"""Embedding tables with dense gradients: what backward and the optimizer spend on rows that no batch asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from slowprobe.timeline.op_lines import Source, launch_sources
from slowprobe.timeline.op_tree import OpTree

DENSE_BACKWARD = "aten::embedding_dense_backward"
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
    """Making dense gradients: share of the backward engine's time."""
    optimizer: float
    """Work on tensors of this shape: share of the optimizers' time."""
    multiplied: bool
    """A product has the table as its input, too (an output layer that shares the weights): its gradient is dense."""

    @property
    def touched(self) -> float:
        """At most so large a part of the rows is asked for."""
        return min(1.0, self.asked / self.rows)


def dense_tables(tree: OpTree, is_user: Callable[[str], bool]) -> list[DenseTable] | None:
    """The tables by their part of backward, largest first; None without recorded shapes."""
    if not tree.steps or not any(tree.trace.input_dims(row) for row in tree.rows):
        return None
    sources, forward_of, _ = launch_sources(tree, is_user)
    backward_ns = sum(tree.duration_ns[i] for i in forward_of)
    optimizer_ns = sum(tree.duration_ns[i] for i in tree.steps[0].launches if tree.op_class[i] == "optimizer")
    found: dict[tuple[int, int], list[int]] = {}
    for i, name in enumerate(tree.names):
        if name == DENSE_BACKWARD and (rows := _rows_made(tree, i)):
            found.setdefault((rows, _width(tree, i)), []).append(i)
    tables = []
    for (rows, width), calls in found.items():
        spent_ns = sum(tree.duration_ns[i] for i in calls)
        tables.append(
            DenseTable(
                rows,
                width,
                asked=max(prod(_dims(tree, i)[1]) for i in calls),
                source=next((source for i in calls if (source := sources.get(tree.root[i])) is not None), None),
                backward=spent_ns / backward_ns if backward_ns else 0.0,
                optimizer=_in_optimizer(tree, rows, width) / optimizer_ns if optimizer_ns else 0.0,
                multiplied=_is_multiplied(tree, rows, width),
            )
        )
    return sorted(tables, key=lambda table: -table.backward)


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


def _in_optimizer(tree: OpTree, rows: int, width: int) -> float:
    """ns of the optimizers' operators on tensors of this shape; of operators on lists, by elements."""
    spent = 0.0
    for i in tree.steps[0].launches:
        if tree.op_class[i] != "optimizer":
            continue
        sizes = [(tuple(shape), prod(shape)) for shape in _shapes(_dims(tree, i))]
        elements = sum(size for _, size in sizes)
        mine = sum(size for shape, size in sizes if shape == (rows, width))
        spent += tree.duration_ns[i] * mine / elements if elements else 0.0
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

"""Edits to an operator of a step: another type, another order in memory, fewer columns of padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any

from slowprobe.capture.step_operators import Operator

TYPES = {"float": "float32", "double": "float64", "c10::BFloat16": "bfloat16", "c10::Half": "float16", "bool": "bool"}
"""Of operands, as the profiler writes them, and as torch does."""
SHORTER = {"half": 0.5, "quarter": 0.25}  # of the columns: how an operator's time follows them
COPIES = ("contiguous", "reshape", "flatten", "clone", "copy_", "aten::to")  # what they cost is seen by itself
PRODUCTS = ("mm", "linear", "matmul", "conv", "dot", "einsum", "attention")
_CASTS = ("aten::to", "aten::_to_copy")
_FLOAT, _DOUBLE = 6, 7  # c10::ScalarType, as a dtype argument is noted

Edit = Callable[[Operator], Operator | None]
"""The operator as an edit leaves it; None where the edit is not about it."""


def unchanged(operator: Operator) -> Operator:
    """The operator itself, for what changes around it."""
    return operator


def single(operator: Operator) -> Operator | None:
    """In float32 what is in float64. Python's numbers come as float64 without dimensions, and change no type."""
    if not any(kind == "double" and size for kind, size in zip(operator.types, operator.sizes, strict=True)):
        return None
    values = operator.values
    if operator.name in _CASTS:
        values = tuple(
            _FLOAT if kind == "Scalar" and value == _DOUBLE else value
            for kind, value in zip(operator.types, values, strict=True)
        )
    return replace(
        operator, types=tuple("float" if kind == "double" else kind for kind in operator.types), values=values
    )


def straight(operator: Operator) -> Operator | None:
    """With all operands in the order of their dimensions, where one is transposed; products take either order."""
    if any(word in operator.name for word in (*PRODUCTS, *COPIES)):
        return None
    strides = tuple(
        _rows(size) if kind in TYPES and len(size) > 1 and _is_turned(size, stride) else stride
        for kind, size, stride in zip(operator.types, operator.sizes, operator.strides, strict=True)
    )
    return None if strides == operator.strides else replace(operator, strides=strides)


def _rows(sizes: Sequence[int]) -> list[int]:
    return [prod(sizes[at + 1 :]) for at in range(len(sizes))]


def _is_turned(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether a dense tensor's dimensions lie in another order; channels_last is one that operators are made for."""
    wide = [(stride, size) for size, stride in zip(sizes, strides, strict=True) if size > 1]
    dense = all(stride > 0 for stride, _ in wide) and prod(sizes) == 1 + sum((n - 1) * s for s, n in wide)
    in_order = [stride for stride, _ in wide] == sorted((stride for stride, _ in wide), reverse=True)
    images = len(sizes) == 4 and strides[1] == 1
    return dense and not in_order and not images


def shorter(padded: Sequence[tuple[int, int]], part: float, operator: Operator) -> Operator | None:
    """With a part of the columns of a batch; None where nothing of that size is among the operands."""
    dense = [size if kind in TYPES else [] for kind, size in zip(operator.types, operator.sizes, strict=True)]
    for rows, width in padded:
        less = max(1, round(width * part))
        sizes = _cut(dense, rows, width, less)
        if sizes == dense:
            continue
        strides = tuple(
            _like(size, stride, now) if size else stride
            for size, stride, now in zip(dense, operator.strides, sizes, strict=True)
        )
        new = {width: less, rows * width: rows * less}
        values = tuple(
            [new.get(each, each) for each in value] if isinstance(value, list) else value for value in operator.values
        )
        return replace(operator, sizes=tuple(sizes), strides=strides, values=values)
    return None


def _cut(shapes: list[Any], rows: int, width: int, less: int) -> list[Any]:
    """The columns of a batch, told from features of the same size: rows and columns in one, or side by side, if any."""
    if any(rows * width in shape for shape in shapes):
        return [[rows * less if size == rows * width else size for size in shape] for shape in shapes]
    if any(pair in ((rows, width), (width, rows)) for shape in shapes for pair in pairwise(shape)):
        return [_beside(shape, rows, width, less) for shape in shapes]
    return [[less if size == width else size for size in shape] if len(shape) > 2 else shape for shape in shapes]


def _beside(shape: Any, rows: int, width: int, less: int) -> Any:
    for at, pair in enumerate(pairwise(shape)):
        if pair in ((rows, width), (width, rows)):
            column = at + 1 if pair[0] == rows else at
            return [less if i == column else size for i, size in enumerate(shape)]
    return shape


def _like(sizes: Sequence[int], strides: Sequence[int], less: Sequence[int]) -> list[int]:
    """Strides of a dense tensor of sizes `less`, in the same order as before; what was broadcast stays so."""
    found, step = [0] * len(sizes), 1
    for at in sorted(range(len(sizes)), key=lambda at: (strides[at], -at)):
        if strides[at]:
            found[at] = step
            step *= less[at]
    return found

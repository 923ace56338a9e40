"""Matrix products of a window with recorded shapes: their sizes, their type and the kernels that compute them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device_window import DeviceWindow
from slowprobe.trace.reader import MISSING, Trace

_FIRST = {"aten::mm": 0, "aten::bmm": 0, "aten::addmm": 1, "aten::baddbmm": 1}  # position of the left matrix
_SIZES = 2  # dimensions of a matrix; before them stands the number of matrices


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """Products of one shape: m x k times k x n."""

    operator: str
    m: int
    k: int
    n: int
    dtype: str
    """As the profiler writes it: "float", "c10::BFloat16", …"""
    count: int
    ns_by_kernel: dict[str, int]
    tensor_cores: bool
    """In all of its kernels."""

    @property
    def total_ns(self) -> int:
        """Of its kernels."""
        return sum(self.ns_by_kernel.values())

    @property
    def sizes(self) -> tuple[int, int, int]:
        """m, k and n."""
        return self.m, self.k, self.n


def matrix_products(window: DeviceWindow) -> list[MatrixProduct]:
    """The products by shape, the dearest first."""
    rows, trace = window.facts.rows, window.trace
    named = trace.matches(lambda name: name in _FIRST)
    chosen = np.flatnonzero(rows.operator != MISSING)
    chosen = chosen[named[rows.operator[chosen]] & (rows.class_id[chosen] == CLASSES.index("matmul"))]
    kernels: dict[tuple[str, int, int, int, str], dict[str, int]] = {}
    counted: dict[tuple[str, int, int, int, str], set[int]] = {}
    full: set[tuple[str, int, int, int, str]] = set()
    for at in chosen.tolist():
        operator = int(rows.operator[at])
        key = _shape(trace, operator)
        if key is None:
            continue
        name = trace.names[trace.name_id[rows.row[at]]]
        mine = kernels.setdefault(key, {})
        mine[name] = mine.get(name, 0) + int(rows.end_ns[at] - rows.start_ns[at])
        counted.setdefault(key, set()).add(operator)
        if not rows.tensor_cores[at]:
            full.add(key)
    products = [MatrixProduct(*key, len(counted[key]), mine, key not in full) for key, mine in kernels.items()]
    return sorted(products, key=lambda product: -product.total_ns)


def _shape(trace: Trace, operator: int) -> tuple[str, int, int, int, str] | None:
    name = trace.names[trace.name_id[operator]]
    first = _FIRST[name]
    dims, types = trace.input_dims(operator), trace.input_types(operator)
    if not dims or not types or min(len(dims), len(types)) < first + 2:
        return None
    left, right, dtype = dims[first], dims[first + 1], types[first]
    if not _is_matrix(left) or not _is_matrix(right) or left[-1] != right[-2] or not isinstance(dtype, str):
        return None
    return name, left[-2], left[-1], right[-1], dtype


def _is_matrix(dims: Any) -> bool:
    return isinstance(dims, list) and len(dims) >= _SIZES and all(isinstance(size, int) for size in dims)

"""Tensors that are copied to the device: how large, of which shape and type, and where they came from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.partition import BusyTime
from slowprobe.timeline.device.rows import COPIES
from slowprobe.timeline.device_window import DeviceWindow
from slowprobe.trace.reader import MISSING, Ints, Trace

ITEM_BYTES = {
    "double": 8,
    "long int": 8,
    "float": 4,
    "int": 4,
    "c10::Half": 2,
    "c10::BFloat16": 2,
    "short": 2,
    "unsigned char": 1,
    "signed char": 1,
    "bool": 1,
}
"""By the name that the profiler writes."""

_TO_DEVICE = tuple(COPIES.index(kind) for kind in ("h2d_pageable", "h2d_pinned", "h2d"))
_SOURCE = {"aten::copy_": 1}  # the input that is copied; the first of all other operators

_Tensor = tuple[tuple[int, ...], str]


@dataclass(frozen=True, slots=True)
class CopiedTensor:
    """Copies of one size to the device, from one kind of host memory and one place."""

    kind: str
    """One of `slowprobe.timeline.device.rows.COPIES`."""
    size_bytes: int
    """Of one copy."""
    dims: tuple[int, ...] | None
    """None where shapes were not recorded, or do not fit the size."""
    dtype: str | None
    """As in `ITEM_BYTES`."""
    count: int
    total_ns: int
    exposed_ns: int
    site: str | None
    """As in `slowprobe.timeline.device.copies.CopyStat`."""
    rows: tuple[int, ...]
    """Of the trace."""


def copied_tensors(window: DeviceWindow, shaped: DeviceWindow | None) -> list[CopiedTensor]:
    """The tensors by size, those of most time first. shaped: a window with shapes; of the same steps or of others."""
    rows = window.facts.rows
    copies = np.flatnonzero(np.isin(rows.copy_kind, _TO_DEVICE))
    if not len(copies):
        return []
    exposed_ns = BusyTime(rows).exposed_ns(rows)
    site_of = {row: copy.site for copy in window.facts.copies for row in copy.rows}
    known = {} if shaped is None else _known(shaped)
    found: dict[tuple[int, int, str | None], list[int]] = {}
    for at in copies.tolist():
        row = int(rows.row[at])
        size = max(int(window.trace.size_bytes[row]), 0)
        found.setdefault((int(rows.copy_kind[at]), size, site_of.get(row)), []).append(at)
    tensors = []
    for (kind, size, site), members in found.items():
        dims, dtype = known.get((kind, size), (None, None))
        tensors.append(
            CopiedTensor(
                kind=COPIES[kind],
                size_bytes=size,
                dims=dims,
                dtype=dtype,
                count=len(members),
                total_ns=int((rows.end_ns[members] - rows.start_ns[members]).sum()),
                exposed_ns=int(exposed_ns[members].sum()),
                site=site,
                rows=tuple(rows.row[members].tolist()),
            )
        )
    return sorted(tensors, key=lambda tensor: -tensor.total_ns)


def _known(window: DeviceWindow) -> dict[tuple[int, int], _Tensor]:
    """Shape and type by kind of copy and size; none where tensors of several types have the size."""
    rows, trace = window.facts.rows, window.trace
    known: dict[tuple[int, int], set[_Tensor]] = {}
    copies = np.flatnonzero(np.isin(rows.copy_kind, _TO_DEVICE) & (rows.operator != MISSING))
    for at in copies.tolist():
        size = int(trace.size_bytes[rows.row[at]])
        tensor = _tensor(trace, int(rows.operator[at]), size)
        if tensor is not None:
            known.setdefault((int(rows.copy_kind[at]), size), set()).add(tensor)
    return {key: min(tensors) for key, tensors in known.items() if len({dtype for _, dtype in tensors}) == 1}


def _tensor(trace: Trace, operator: int, size_bytes: int) -> _Tensor | None:
    dims, types = trace.input_dims(operator), trace.input_types(operator)
    source = _SOURCE.get(trace.names[trace.name_id[operator]], 0)
    if not dims or not types or min(len(dims), len(types)) <= source:
        return None
    shape, dtype = dims[source], types[source]
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape) or not isinstance(dtype, str):
        return None
    if math.prod(shape) * ITEM_BYTES.get(dtype, 0) != size_bytes or not size_bytes:
        return None
    return tuple(shape), dtype


def sizes_by_step(window: DeviceWindow) -> list[int]:
    """Bytes of the largest tensor that is copied to the device in each step; steps without one are left out."""
    rows, steps = window.facts.rows, window.facts.steps
    copies = np.flatnonzero(np.isin(rows.copy_kind, _TO_DEVICE) & (rows.launch != MISSING))
    at: Ints = np.searchsorted(steps.start_ns, window.trace.start_ns[rows.launch[copies]], side="right") - 1
    largest: dict[int, int] = {}
    for step, size in zip(at.tolist(), window.trace.size_bytes[rows.row[copies]].tolist(), strict=True):
        if step >= 0:
            largest[step] = max(largest.get(step, 0), size)
    return [size for _, size in sorted(largest.items())]

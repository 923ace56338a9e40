"""Everything that ran on the device, selected by category: kernels, copies and memsets."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from slowprobe.timeline.device.classes import CLASSES, is_collective, kernel_class, uses_tensor_cores
from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.intervals import Int8s
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

KINDS = ("compute", "communication", "copy")
COMPUTE, COMMUNICATION, COPY = range(3)
COPIES = (
    "none",
    "h2d_pageable",
    "h2d_pinned",
    "d2h_pageable",
    "d2h_pinned",
    "d2d",
    "p2p",
    "other",
    "h2d",  # from and to host memory that the trace does not describe, as on ROCm
    "d2h",
)
_DMA = "dma_request"
_ACCELERATOR = "mtia_ccp_events"
_CATEGORIES = ("kernel", "gpu_memcpy", "gpu_memset", _ACCELERATOR)
_COPY_NAMES = {
    "HtoD (Pageable": "h2d_pageable",
    "HtoD (Pinned": "h2d_pinned",
    "HtoD": "h2d",
    "DtoH (Device -> Pageable": "d2h_pageable",
    "DtoH (Device -> Pinned": "d2h_pinned",
    "DtoH": "d2h",
    "DtoD": "d2d",
    "PtoP": "p2p",
}
_OPTIMIZER = "Optimizer.step#"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRows:
    """Device activity of one rank in order of start; all columns have one entry a row."""

    row: Ints
    """Into the trace."""
    start_ns: Ints
    end_ns: Ints
    kind: Int8s
    """Into `KINDS`. A memset is compute."""
    class_id: Int8s
    """Into `slowprobe.timeline.device.classes.CLASSES`."""
    tensor_cores: Bools
    stream: Ints
    device: Ints
    launch: Ints
    """Row of the runtime or driver call that launched it; `MISSING` where the trace has none."""
    operator: Ints
    """Row of the innermost operator around that call; `MISSING` where there is none."""
    copy_kind: Int8s
    """Into `COPIES`; "none" for what is no copy."""

    def __len__(self) -> int:
        return len(self.start_ns)

    def where(self, mask: Bools) -> DeviceRows:
        """The rows of a mask."""
        return DeviceRows(**{column.name: getattr(self, column.name)[mask] for column in fields(self)})

    def of_device(self, device: int) -> DeviceRows:
        """The rows of one device."""
        return self.where(self.device == device)


def device_rows(trace: Trace, host: Host | None = None) -> DeviceRows:
    """All device activity of a trace; empty where it has none.

    By category alone: operators of compiled code and synchronisation rows carry a stream too.
    """
    host = host or Host(trace)
    row = np.flatnonzero(trace.is_category(*_CATEGORIES))
    launch = _launches(trace, host.runtime, row)
    around = host.around(launch)
    operator = _operators(trace, host, row, launch, around)
    copies = (trace.is_category("gpu_memcpy") | trace.matches(lambda name: name == _DMA))[row]
    memsets = trace.is_category("gpu_memset")[row]
    class_id = _classes(trace, host, row, operator, around)
    class_id[copies], class_id[memsets] = CLASSES.index("copy"), CLASSES.index("memset")
    kind = np.where(copies, COPY, np.where(class_id == CLASSES.index("communication"), COMMUNICATION, COMPUTE))
    return DeviceRows(
        row=row,
        start_ns=trace.start_ns[row],
        end_ns=trace.ends_of(row),
        kind=kind.astype(np.int8),
        class_id=class_id,
        tensor_cores=trace.matches(uses_tensor_cores)[row] & ~copies & ~memsets,
        stream=trace.stream[row].astype(np.int64),
        device=trace.device[row].astype(np.int64),
        launch=launch,
        operator=operator,
        copy_kind=np.where(copies, _copy_kinds(trace)[trace.name_id[row]], 0).astype(np.int8),
    )


def _launches(trace: Trace, runtime: Bools, row: Ints) -> Ints:
    calls = np.flatnonzero(runtime & (trace.correlation > 0))
    return _join(trace.correlation[calls], calls, trace.correlation[row])


def _operators(trace: Trace, host: Host, row: Ints, launch: Ints, around: Ints) -> Ints:
    """By where the launch is nested; without a launch, by the external id.

    Not by the id first: in some traces it counts other things than the operators' ids do.
    """
    stack = host.stack
    nested = stack.row_of(stack.nearest(around, host.operators[stack.rows])) if len(stack.rows) else around
    operators = np.flatnonzero(host.operators & (trace.external_id > 0))
    by_id = _join(trace.external_id[operators], operators, trace.external_id[row])
    return np.where(launch >= 0, nested, by_id)


def _join(keys: Ints, values: Ints, wanted: Ints) -> Ints:
    """The last value with each wanted key; `MISSING` where there is none. Keys are positive."""
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    at = np.searchsorted(keys, wanted, side="right") - 1
    if not len(keys):
        return np.full(len(wanted), MISSING, dtype=np.int64)
    return np.where((at >= 0) & (keys[np.maximum(at, 0)] == wanted), values[np.maximum(at, 0)], MISSING)


def _classes(trace: Trace, host: Host, row: Ints, operator: Ints, around: Ints) -> Int8s:
    """Once for each pair of a kernel's name and what it was launched under."""
    stack, names = host.stack, trace.names
    by = np.where(operator >= 0, trace.name_id[np.maximum(operator, 0)], MISSING)
    if len(stack.rows):
        named = stack.row_of(stack.nearest(around, (host.operators | host.annotations)[stack.rows]))
        collective = (named >= 0) & trace.matches(is_collective)[np.maximum(named, 0)]
        optimizer = host.annotations & trace.matches(lambda name: name.startswith(_OPTIMIZER))
        steps = stack.outermost(optimizer[stack.rows])
        step = stack.row_of(np.where(around >= 0, steps[np.maximum(around, 0)], MISSING))
        by = np.where(step >= 0, trace.name_id[np.maximum(step, 0)], by)
        by = np.where(collective, trace.name_id[np.maximum(named, 0)], by)
    pair, inverse = np.unique(trace.name_id[row].astype(np.int64) * (len(names) + 1) + by + 1, return_inverse=True)
    classes = [
        CLASSES.index(kernel_class(names[key // (len(names) + 1)], None if op == 0 else names[op - 1]))
        for key, op in zip(pair.tolist(), (pair % (len(names) + 1)).tolist(), strict=True)
    ]
    return np.array(classes, dtype=np.int8)[inverse.reshape(-1)]


def _copy_kinds(trace: Trace) -> Ints:
    """Of every name of the trace: what it is as a copy."""
    return np.array([COPIES.index(_copy_kind(name)) for name in trace.names], dtype=np.int64)


def _copy_kind(name: str) -> str:
    return next((kind for part, kind in _COPY_NAMES.items() if part in name), "other")

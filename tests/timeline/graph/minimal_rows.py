"""Device rows by correlation alone, for graphs of simulated traces."""

from __future__ import annotations

import numpy as np

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.rows import COPIES, KINDS, DeviceRows
from slowprobe.trace.reader import MISSING, Trace

_COPY_KINDS = {"HtoD (Pageable": "h2d_pageable", "HtoD (Pinned": "h2d_pinned", "DtoH": "d2h_pageable", "DtoD": "d2d"}


def minimal_rows(trace: Trace) -> DeviceRows:
    row = np.flatnonzero(trace.is_category("kernel", "gpu_memcpy", "gpu_memset"))
    names = [trace.names[i] for i in trace.name_id[row]]
    calls = np.flatnonzero(trace.is_category("cuda_runtime", "cuda_driver"))
    by_correlation = dict(zip(trace.correlation[calls].tolist(), calls.tolist(), strict=True))
    copies = [_copy_kind(name) for name in names]
    kinds = [
        "copy" if c != "none" else "communication" if "nccl" in n.lower() else "compute"
        for n, c in zip(names, copies, strict=True)
    ]
    classes = [k if k != "compute" else "matmul" if "gemm" in n else "other" for n, k in zip(names, kinds, strict=True)]
    return DeviceRows(
        row=row,
        start_ns=trace.start_ns[row],
        end_ns=trace.end_ns[row],
        kind=np.array([KINDS.index(k) for k in kinds], dtype=np.int8),
        class_id=np.array([CLASSES.index(c) for c in classes], dtype=np.int8),
        tensor_cores=np.zeros(len(row), dtype=np.bool_),
        stream=trace.stream[row],
        device=trace.device[row],
        launch=np.array([by_correlation.get(c, MISSING) for c in trace.correlation[row].tolist()], dtype=np.int64),
        operator=np.full(len(row), MISSING),
        copy_kind=np.array([COPIES.index(c) for c in copies], dtype=np.int8),
    )


def _copy_kind(name: str) -> str:
    if not name.startswith("Memcpy"):
        return "none"
    return next((kind for part, kind in _COPY_KINDS.items() if part in name), "other")

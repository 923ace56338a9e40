"""Kernels by name: how often, how long, and which operators launch them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.rows import COPY, DeviceRows
from slowprobe.trace.reader import Ints, Trace

_OPS = 4  # names of operators kept for each kernel


@dataclass(frozen=True, slots=True)
class KernelStat:
    """One kernel; figures are over its launches."""

    name: str
    class_name: str
    """Of most of its launches: a name may serve several operators."""
    tensor_cores: bool
    count: int
    total_ns: int
    mean_ns: float
    median_ns: float
    longest_ns: int
    share: float
    """Of the summed time of all kernels."""
    ops: tuple[str, ...]
    """Operators that launched it, the most frequent first; empty where the trace does not tell."""


def kernel_table(trace: Trace, rows: DeviceRows) -> list[KernelStat]:
    """The kernels (no copies, no memsets), the dearest first."""
    kernels = rows.where((rows.kind != COPY) & (rows.class_id != CLASSES.index("memset")))
    if not len(kernels):
        return []
    duration_ns = kernels.end_ns - kernels.start_ns
    name = trace.name_id[kernels.row]
    order = np.lexsort((duration_ns, name))
    bounds = np.flatnonzero(np.append(True, np.diff(name[order]) > 0))
    counts = np.diff(np.append(bounds, len(order)))
    durations = duration_ns[order]
    totals = np.add.reduceat(durations, bounds)
    # Sorted within each name: the median is in the middle, the longest at the end.
    low, high = bounds + (counts - 1) // 2, bounds + counts // 2
    medians = (durations[low] + durations[high]) / 2
    longest = durations[bounds + counts - 1]
    whole = max(1, int(totals.sum()))
    stats = []
    for i in np.argsort(-totals, kind="stable").tolist():
        members = order[bounds[i] : bounds[i] + counts[i]]
        stats.append(
            KernelStat(
                name=trace.names[name[members[0]]],
                class_name=CLASSES[int(np.bincount(kernels.class_id[members]).argmax())],
                tensor_cores=bool(kernels.tensor_cores[members[0]]),
                count=int(counts[i]),
                total_ns=int(totals[i]),
                mean_ns=float(totals[i] / counts[i]),
                median_ns=float(medians[i]),
                longest_ns=int(longest[i]),
                share=float(totals[i] / whole),
                ops=_ops(trace, kernels.operator[members]),
            )
        )
    return stats


def _ops(trace: Trace, operators: Ints) -> tuple[str, ...]:
    ids, counts = np.unique(trace.name_id[operators[operators >= 0]], return_counts=True)
    return tuple(trace.names[ids[i]] for i in np.argsort(-counts, kind="stable")[:_OPS].tolist())

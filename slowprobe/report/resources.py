"""The run's use of the machine as the result document has it, as few points as a chart shows."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

from slowprobe.diagnose.evidence import Evidence, EvidenceMissing
from slowprobe.report.resource_document import Resources
from slowprobe.timeline.partition import LABELS
from slowprobe.timeline.resource_use import resource_use

Floats = npt.NDArray[np.float64]

MOST_POINTS = 240
_PAGE_BYTES = mmap.PAGESIZE
_WORTH_SAYING = 0.02  # of what the process holds: by less, it does not grow


def resources(evidence: Evidence) -> Resources | None:
    """None where the machine was read less than twice."""
    use = resource_use(evidence.recording, evidence.worker_recordings)
    if use is None:
        return None
    every = -(-len(use.end_s) // MOST_POINTS)
    first = np.arange(0, len(use.end_s), every)
    weight = np.add.reduceat(use.took_s, first)

    def mean(values: Floats) -> list[float]:
        return [round(float(each), 3) for each in np.add.reduceat(values * use.took_s, first) / weight]

    def most(values: Floats) -> list[int]:
        return [int(each) for each in np.maximum.reduceat(values, first)]

    new_memory, kind = _new_memory(evidence)
    return Resources(
        cores=round(evidence.cores, 2),
        end_s=[round(float(each), 3) for each in use.end_s[np.append(first[1:] - 1, len(use.end_s) - 1)]],
        training_cores=mean(use.training),
        worker_cores=mean(use.workers),
        other_cores=mean(use.others),
        training_bytes=most(use.training_bytes),
        worker_bytes=most(use.workers_bytes),
        available_bytes=[int(each) for each in np.minimum.reduceat(use.available_bytes, first)],
        most_workers=use.most_workers,
        loop_s=_loop_s(evidence),
        growth_bytes_s=_growth(evidence),
        new_memory_bytes_s=new_memory,
        new_memory_in=kind,
    )


def _loop_s(evidence: Evidence) -> tuple[float, float] | None:
    labels = evidence.labels
    if not len(labels.steps):
        return None
    return round(labels.loop_start_ns / 1e9, 3), round(labels.loop_end_ns / 1e9, 3)


def _growth(evidence: Evidence) -> float | None:
    try:
        found = evidence.memory_growth
    except EvidenceMissing:
        return None
    grows = found.steady and found.grown_bytes >= _WORTH_SAYING * found.first_bytes
    return round(found.bytes_per_s, 1) if grows else None


def _new_memory(evidence: Evidence) -> tuple[float | None, str]:
    """Bytes a second, and the kind of span that touches most."""
    try:
        pages = evidence.page_faults
    except EvidenceMissing:
        return None, ""
    kind = max(pages, key=lambda each: pages[each], default="")
    return round(sum(pages.values()) * _PAGE_BYTES, 1), LABELS.get(kind, kind)

"""Memory that forked workers shared with their parent, and that became their own while they worked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from slowprobe.run.schema import WorkerResources
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.recording import Recording
from slowprobe.timeline.worker_facts import workers_of


@dataclass(frozen=True)
class PrivateGrowth:
    """The workers of one start together, each from the first reading of its memory map to the last.

    copied_bytes: what they wrote to and so copied. A copy leaves resident memory as it was, so it is the growth of
    private memory less that of resident memory. kept_bytes: the latter, new objects. shared_bytes: still shared.
    """

    workers: int
    over_s: float
    copied_bytes: float
    kept_bytes: float
    shared_bytes: float


def private_growth(workers: Sequence[Recording], loader: LoaderFacts) -> PrivateGrowth | None:
    """Of the start of workers in which most was copied; None where no worker's map was read twice."""
    starts: dict[int, list[tuple[float, int, int, int]]] = defaultdict(list)
    for hello, worker in workers_of(list(workers), loader.id):
        row = _row(worker.run.of(WorkerResources))
        if row is not None:
            starts[hello.spawned_ns].append(row)
    found = [_together(rows) for rows in starts.values()]
    return max(found, key=lambda each: each.copied_bytes, default=None)


def _row(readings: list[WorkerResources]) -> tuple[float, int, int, int] | None:
    """Seconds between the readings, growth of private and of resident memory, what is shared at the last one."""
    read = [
        (each.at_ns / 1e9, each.uss_bytes, each.rss_bytes)
        for each in readings
        if each.uss_bytes is not None and each.rss_bytes is not None
    ]
    if len(read) < 2:
        return None
    (begin, uss, rss), (end, last_uss, last_rss) = read[0], read[-1]
    return end - begin, last_uss - uss, last_rss - rss, max(0, last_rss - last_uss)


def _together(rows: list[tuple[float, int, int, int]]) -> PrivateGrowth:
    over, private, resident, shared = zip(*rows, strict=True)
    copied = sum(max(0, own - max(0, all_of_it)) for own, all_of_it in zip(private, resident, strict=True))
    kept = sum(max(0, each) for each in resident)
    return PrivateGrowth(len(rows), sum(over) / len(rows), float(copied), float(kept), float(sum(shared)))

"""Memory that forked workers shared with their parent, and that became their own while they worked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from slowprobe.run.worker_records import WorkerResources
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.recording import Recording
from slowprobe.timeline.worker_facts import workers_of

FORKED_BYTES = 12_000_000  # that a forked worker has of its own once it makes batches: measured 10-11 MB


@dataclass(frozen=True)
class PrivateGrowth:
    """The workers of one start together, from their forks to the last reading of the memory map, `over_s` later.

    copied_bytes: what they wrote to and so copied. A copy leaves resident memory as it was, so it is private memory
    less what resident memory grew by, kept_bytes, which are new objects. rate: bytes/s that were copied from the last
    reading but one to the last. shared_bytes: still shared.
    """

    workers: int
    over_s: float
    copied_bytes: float
    rate: float
    kept_bytes: float
    shared_bytes: float


def private_growth(workers: Sequence[Recording], loader: LoaderFacts) -> PrivateGrowth | None:
    """Of the start of workers in which most was copied; None where no worker's map was read twice."""
    starts: dict[int, list[PrivateGrowth]] = defaultdict(list)
    for hello, worker in workers_of(list(workers), loader.id):
        one = _of_worker(worker.run.of(WorkerResources))
        if one is not None:
            starts[hello.spawned_ns].append(one)
    found = [_together(each) for each in starts.values()]
    return max(found, key=lambda each: each.copied_bytes, default=None)


def _of_worker(readings: list[WorkerResources]) -> PrivateGrowth | None:
    resident = [(each.at_ns / 1e9, each.rss_bytes) for each in readings if each.rss_bytes is not None]
    read = [
        (each.at_ns / 1e9, each.uss_bytes, each.rss_bytes)
        for each in readings
        if each.uss_bytes is not None and each.rss_bytes is not None
    ]
    if len(read) < 2:
        return None
    begin, first = resident[0]
    (before_s, before, before_rss), (end_s, private, rss) = read[-2:]
    kept = max(0, rss - first)
    rate = (private - before - max(0, rss - before_rss)) / max(end_s - before_s, 1e-3)
    copied = max(0, private - FORKED_BYTES - kept)
    return PrivateGrowth(1, end_s - begin, copied, max(0.0, rate), kept, max(0, rss - private))


def _together(each: list[PrivateGrowth]) -> PrivateGrowth:
    return PrivateGrowth(
        len(each),
        sum(one.over_s for one in each) / len(each),
        sum(one.copied_bytes for one in each),
        sum(one.rate for one in each),
        sum(one.kept_bytes for one in each),
        sum(one.shared_bytes for one in each),
    )

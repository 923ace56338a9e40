"""How much of the machine other processes took while the run was recorded: times are longer beside a busy neighbour."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.run.schema import Resources
from slowprobe.run.worker_records import WorkerBatches, WorkerResources
from slowprobe.timeline.recording import Recording

FULL = 0.9  # of all cores at work: somebody waited for a core
TAKEN = 0.15  # of all cores; less may be the run's own: processes it starts, and workers between two readings
MIN_SPAN_S = 1.0  # the system counts in hundredths of a second
UNCOUNTED = 1.2  # of a worker's time in the dataset, where its process was not read: collate and hand-over come on top


@dataclass(frozen=True)
class Neighbours:
    """Shares of all cores' time: kept busy by anybody, and by processes that are no part of the run."""

    busy: float
    others: float

    @property
    def in_the_way(self) -> bool:
        """Whether cores were short, and the run was not alone in using them."""
        return self.busy >= FULL and self.others >= TAKEN


def neighbours(recording: Recording, workers: list[Recording]) -> Neighbours | None:
    """From the first resource reading to the last; None where there are too few or they lack idle time."""
    read = [record for record in recording.run.of(Resources) if record.system_idle_s > 0]
    if len(read) < 3 or read[-1].at_ns - read[0].at_ns < MIN_SPAN_S * 1e9:
        return None
    first, last = read[0], read[-1]
    busy_s, idle_s = last.system_busy_s - first.system_busy_s, last.system_idle_s - first.system_idle_s
    total_s = busy_s + idle_s
    if total_s <= 0:
        return None
    workers_s = sum(_worker_s(worker, last.at_ns) for worker in workers)
    others_s = max(0.0, busy_s - (last.cpu_s - first.cpu_s) - workers_s)
    return Neighbours(busy_s / total_s, others_s / total_s)


def _worker_s(worker: Recording, until_ns: int) -> float:
    """CPU seconds of a worker process, all its threads: a library's (BLAS, OpenMP) take as much as Python's own."""
    read_ns = max((record.cpu_ns for record in worker.run.of(WorkerResources) if record.at_ns <= until_ns), default=0)
    made_ns = sum(part.every * max(0, cpu_ns) for part in worker.run.of(WorkerBatches) for cpu_ns in part.fetch_cpu)
    return max(read_ns, UNCOUNTED * made_ns) / 1e9

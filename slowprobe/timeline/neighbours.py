"""How much of the machine other processes took while the run was recorded: times are longer beside a busy neighbour."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.run.schema import Resources
from slowprobe.run.worker_records import WorkerBatches
from slowprobe.timeline.recording import Recording

FULL = 0.9  # of all cores at work: somebody waited for a core
TAKEN = (
    0.15  # of all cores; less may be the run's own: collate and hand-over of its workers are in no clock that is read
)


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
    if len(read) < 3:
        return None
    first, last = read[0], read[-1]
    busy_s, idle_s = last.system_busy_s - first.system_busy_s, last.system_idle_s - first.system_idle_s
    total_s = busy_s + idle_s
    if total_s <= 0:
        return None
    made = (part for worker in workers for part in worker.run.of(WorkerBatches))
    workers_s = sum(part.every * sum(part.fetch_cpu) for part in made) / 1e9
    others_s = max(0.0, busy_s - (last.cpu_s - first.cpu_s) - 1.2 * workers_s)  # collate and hand-over are not counted
    return Neighbours(busy_s / total_s, others_s / total_s)

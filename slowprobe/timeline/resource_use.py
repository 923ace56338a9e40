"""What a run used of the machine over time: cores and memory of the training process, of its workers, of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.run.schema import Resources
from slowprobe.run.worker_records import WorkerHello, WorkerResources
from slowprobe.timeline.recording import Recording

MIN_STRETCH_S = 0.2  # the system counts CPU time in hundredths of a second
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ResourceUse:
    """One entry a stretch between two readings in each array, in order; `end_s` since the start of the run.

    training, workers, others: cores kept busy, on the mean of the stretch; others are all other processes, and workers
    after they were last read. training_bytes: resident. workers_bytes: what all workers have of their own (resident,
    where their memory maps could not be read). available_bytes: of the machine. Bytes are those at the end.
    """

    end_s: _Floats
    took_s: _Floats
    training: _Floats
    workers: _Floats
    others: _Floats
    training_bytes: _Floats
    workers_bytes: _Floats
    available_bytes: _Floats
    most_workers: int
    """At once, of those that were read."""


def resource_use(recording: Recording, workers: Sequence[Recording]) -> ResourceUse | None:
    """From the first reading to the last; None where there are fewer than two."""
    read = _apart(recording.run.of(Resources))
    if len(read) < 2:
        return None
    at = np.array([each.at_ns for each in read]) / 1e9
    took = np.diff(at)
    own = np.diff([each.cpu_s for each in read])
    system = np.diff([each.system_busy_s for each in read])
    cpu, size, alive = np.zeros(len(at)), np.zeros(len(at)), np.zeros(len(at), dtype=np.int64)
    for worker in workers:
        hello, readings = worker.run.last(WorkerHello), worker.run.of(WorkerResources)
        if hello is None or not readings:
            continue
        # Workers are started one after the other: until it was first read, one kept a core busy for what it had used.
        begun_ns = max(hello.spawned_ns, readings[0].at_ns - readings[0].cpu_ns)
        times = np.array([begun_ns, *(each.at_ns for each in readings)]) / 1e9
        cpu += np.interp(at, times, [0, *(each.cpu_ns / 1e9 for each in readings)])
        there = (at >= times[1]) & (at <= times[-1])
        size += np.where(there, np.interp(at, times[1:], _own_bytes(readings)), 0.0)
        alive += there
    making = np.diff(cpu)
    return ResourceUse(
        end_s=at[1:],
        took_s=took,
        training=np.maximum(own, 0.0) / took,
        workers=np.maximum(making, 0.0) / took,
        others=np.maximum(system - own - making, 0.0) / took,
        training_bytes=np.array([float(each.rss_bytes) for each in read[1:]]),
        workers_bytes=size[1:],
        available_bytes=np.array([float(each.available_bytes) for each in read[1:]]),
        most_workers=int(alive.max()),
    )


def _apart(readings: Sequence[Resources]) -> list[Resources]:
    """The readings without those that follow another too soon."""
    kept: list[Resources] = []
    for each in readings:
        if not kept or each.at_ns - kept[-1].at_ns >= MIN_STRETCH_S * 1e9:
            kept.append(each)
    return kept


def _own_bytes(readings: Sequence[WorkerResources]) -> list[float]:
    """Resident memory at each reading, less what was shared when the map was last read before it."""
    shared = next(
        (each.rss_bytes - each.uss_bytes for each in readings if each.rss_bytes and each.uss_bytes is not None), 0
    )
    own = []
    for each in readings:
        if each.rss_bytes and each.uss_bytes is not None:
            shared = each.rss_bytes - each.uss_bytes
        own.append(float(max(0, (each.rss_bytes or 0) - shared)))
    return own

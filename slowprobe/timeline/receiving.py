"""What it costs the training thread to take a batch from a worker: it waits without using the CPU, and unpickles."""

from __future__ import annotations

from collections.abc import Sequence

from slowprobe.run.schema import LoaderCpu
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.recording import Recording


def receiving(recording: Recording, loaders: Sequence[LoaderFacts]) -> dict[int, float]:
    """CPU seconds a batch of loaders that have workers, where the thread's clock was read."""
    found = {}
    for loader in loaders:
        read = [record for record in recording.run.of(LoaderCpu) if record.loader == loader.id and record.waits]
        if loader.num_workers and read:
            found[loader.id] = sum(record.wait_cpu_ns for record in read) / sum(record.waits for record in read) / 1e9
    return found

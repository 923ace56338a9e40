"""What it costs the training thread to take a batch from a worker: it waits without using the CPU, and unpickles.

Objects that are unpickled by the thousand also set the garbage collector off; a few tensors do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slowprobe.run.loader_records import LoaderCpu
from slowprobe.timeline.labels import Labels
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.recording import KIND, Recording


def receiving(recording: Recording, loaders: Sequence[LoaderFacts]) -> dict[int, float]:
    """CPU seconds a batch of loaders that have workers, where the thread's clock was read."""
    found = {}
    for loader in loaders:
        read = [record for record in recording.run.of(LoaderCpu) if record.loader == loader.id and record.waits]
        if loader.num_workers and read:
            found[loader.id] = sum(record.wait_cpu_ns for record in read) / sum(record.waits for record in read) / 1e9
    return found


def collecting(
    recording: Recording, labels: Labels, split: Partition, loaders: Sequence[LoaderFacts]
) -> dict[int, dict[str, float]]:
    """Seconds of collections while the training thread takes batches from workers: by loader, then by scope."""
    spans = recording.spans
    found: dict[int, dict[str, float]] = {}
    for loader in loaders:
        waits = (spans.kind == KIND["data_wait"]) & (spans.subject == loader.id)
        if not loader.num_workers or not waits.any():
            continue
        order = np.argsort(spans.start[waits])
        start, end = spans.start[waits][order], spans.end[waits][order]
        place = np.searchsorted(start, spans.start, side="right") - 1
        during = (spans.kind == KIND["gc"]) & (place >= 0) & (spans.start < end[np.maximum(place, 0)])
        for number, (scope, bucket) in enumerate(labels.names):
            of_bucket = (labels.span == number) & (spans.kind == KIND["gc"])
            if bucket == "gc" and (of_bucket & during).any():
                share = spans.duration[of_bucket & during].sum() / spans.duration[of_bucket].sum()
                found.setdefault(loader.id, {})[scope] = float(share) * split.bucket_s("gc", scope)
    return found

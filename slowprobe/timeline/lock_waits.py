"""How long a second thread waits for the interpreter lock while batches are made; in a worker, too, there is one."""

from __future__ import annotations

import numpy as np

from slowprobe.run.sample_records import LockWaits
from slowprobe.timeline.recording import KIND, Recording

MIN_ROWS = 6  # of chance encounters with making a batch; of anything up to 5 ms, the mean then strays by 0.6 ms


def lock_wait_s(recording: Recording, loader: int) -> float | None:
    """Mean wait in seconds of a thread that asks while the training process makes a batch; None where few did."""
    spans = recording.spans
    making = (spans.kind == KIND["fetch"]) & (spans.subject == loader)
    begin, end = spans.start[making], spans.end[making]
    rows = recording.run.of(LockWaits)
    at = np.array([value for row in rows for value in row.at], dtype=np.int64)
    late = np.array([value for row in rows for value in row.late], dtype=np.int64)
    if not len(begin) or not len(at):
        return None
    order = np.argsort(begin)
    place = np.searchsorted(begin[order], at, side="right") - 1
    inside = (place >= 0) & (at < end[order][np.maximum(place, 0)])
    return float(late[inside].mean()) / 1e9 if int(inside.sum()) >= MIN_ROWS else None

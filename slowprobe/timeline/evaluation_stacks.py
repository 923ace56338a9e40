"""By which of the user's lines the evaluations inside the loop were reached, from the stack samples taken in them."""

from __future__ import annotations

from collections import defaultdict

from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import UserCode, label_contexts
from slowprobe.timeline.labels import Labels
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.recording import Recording


def evaluation_stacks(recording: Recording, labels: Labels, split: Partition) -> list[tuple[Site, ...]]:
    """The user's frames of each stack, outermost first; the stacks that took most time first."""
    is_user = UserCode(recording.run.manifest)
    label_of = label_contexts(recording, labels, split)
    spent_ns: dict[tuple[Site, ...], int] = defaultdict(int)
    for row in recording.sampled.rows:
        if label_of(row)[1] != "evaluation":
            continue
        frames = [frame for frame in recording.sampled.stack(row.stack) if is_user(frame.file)]
        spent_ns[tuple(Site(frame.file, frame.line, frame.function) for frame in frames)] += row.wall_ns
    return sorted((sites for sites in spent_ns if sites), key=lambda sites: (-spent_ns[sites], sites))

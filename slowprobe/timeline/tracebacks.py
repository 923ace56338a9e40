"""Tracebacks that torch records while it runs operators (anomaly detection), as stack samples find them."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.hotspots import label_contexts
from slowprobe.timeline.labels import Labels
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.recording import Frame, Recording

MIN_SAMPLES = 10  # in a traceback; fewer say little about how deep the stacks are
_FORMATS = "traceback.py"  # of torch.fx, which calls Python's


@dataclass(frozen=True, slots=True)
class Tracebacks:
    """Where tracebacks of autograd nodes are made, on average over the nodes."""

    frames: float
    """On the stack of an operator that makes a node."""
    files: float
    """Different ones among these: each is looked up on the disk for every traceback."""
    shares: dict[str, float]
    """Of the time that they take in steps, by bucket."""


def tracebacks(recording: Recording, labels: Labels, split: Partition) -> Tracebacks | None:
    """Those inside steps; None where samples found too few."""
    label_of = label_contexts(recording, labels, split)
    counted, nodes, frames, files = 0, 0.0, 0.0, 0.0
    wall_ns: dict[str, int] = {}
    for row in recording.sampled.rows:
        made_by = _made_by(recording.sampled.stack(row.stack))
        if made_by is None:
            continue
        scope, bucket = label_of(row)
        if scope != "step":
            continue
        weight = row.wall_ns / (len(made_by) + 1)  # a long traceback is found as much more often as it is long
        counted += row.count
        nodes += weight
        frames += weight * len(made_by)
        files += weight * len({frame.file for frame in made_by})
        wall_ns[bucket] = wall_ns.get(bucket, 0) + row.wall_ns
    if counted < MIN_SAMPLES or not nodes:
        return None
    whole = sum(wall_ns.values())
    return Tracebacks(frames / nodes, files / nodes, {bucket: ns / whole for bucket, ns in wall_ns.items()})


def _made_by(stack: tuple[Frame, ...]) -> tuple[Frame, ...] | None:
    """The frames above the one that formats a traceback; None where none is being made."""
    for index, frame in enumerate(stack):
        if frame.file.endswith(_FORMATS):
            return stack[:index]
    return None

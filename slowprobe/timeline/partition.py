"""The wall identity: every second of the run in exactly one bucket.

Totals are exact (they come from the chunks, which count every span); which scope and bucket a span key or a gap belongs
to comes from the spans that were kept one by one. Where all were kept, that is exact too; where detail thinned out, the
kept spans of a key stand for the others of the same key.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from slowprobe.run.schema import KINDS, State
from slowprobe.timeline.labels import PYTHON, Label, Labels
from slowprobe.timeline.probe_cost import costs, take_out_probes
from slowprobe.timeline.ranks.count import ranks
from slowprobe.timeline.recording import BOUNDARY, KIND, Key, Recording

BACKWARD = KIND["backward"]
LABELS = {
    "data_wait": "Waiting for data",
    "fetch": "Fetching items (in the training process)",
    "collate": "Collating (in the training process)",
    "forward": "Forward",
    "backward": "Backward",
    "optimizer": "Optimizer",
    "zero_grad": "zero_grad",
    "scaler": "GradScaler",
    "python": "Python outside forward, backward and optimizer",
    "log": "Logging and printing",
    "checkpoint": "Checkpoints",
    "evaluation": "Evaluation",
    "epoch": "Epoch turn-over and worker start",
    "gc": "Garbage collection",
    "compile": "torch.compile",
    "sleep": "time.sleep",
    "external": "Subprocesses and network",
    "communication": "Waiting for other ranks",
    "slowprobe": "slowprobe itself",
    "startup": "Start-up",
    "imports": "Imports",
    "shutdown": "Shutdown",
    "unaccounted": "Not accounted for",
}


@dataclass(frozen=True)
class Partition:
    """Seconds by label; they add up to `wall_s`."""

    wall_s: float
    seconds: dict[Label, float]
    by_key: dict[Key, dict[Label, float]]
    """Self seconds of every span key, by label."""
    probes: dict[Label, float] = field(default_factory=dict)
    """Seconds that the probes took, by the label they were taken out of; they are in slowprobe's own bucket."""

    def bucket_s(self, bucket: str, scope: str | None = None) -> float:
        """Seconds in a bucket, of one scope or all."""
        return sum(s for (where, name), s in self.seconds.items() if name == bucket and scope in (None, where))

    def scope_s(self, *scopes: str) -> float:
        """Seconds in whole scopes."""
        return sum(s for (where, _), s in self.seconds.items() if where in scopes)

    @property
    def loop_s(self) -> float:
        """The training loop: its steps and what happens between them, without slowprobe's own windows and probes."""
        own_s = self.bucket_s("slowprobe", "step") + self.bucket_s("slowprobe", "off_step")
        return self.scope_s("step", "off_step") - own_s

    @property
    def unaccounted_share(self) -> float:
        """Of the wall clock."""
        return self.bucket_s("unaccounted") / self.wall_s if self.wall_s else 0.0


def partition(recording: Recording, labels: Labels) -> Partition:
    """Divide the wall clock of the run."""
    seconds: dict[Label, float] = defaultdict(float)
    spans = recording.spans
    span_mix = _mix(list(zip(spans.kind.tolist(), spans.subject.tolist(), strict=True)), labels.span, spans.self_ns)
    by_key: dict[Key, dict[Label, float]] = {}
    for key, total in recording.totals.items():
        own = by_key[key] = defaultdict(float)
        _share_out(own, total.self_ns, span_mix.get(key), labels.names, ("off_step", KINDS[key[0]]))
        for label, value in own.items():
            seconds[label] += value
    roots = labels.roots
    keys = list(zip(spans.kind[roots].tolist(), spans.subject[roots].tolist(), strict=True))
    kept = labels.gap_ns >= 0
    pairs = [(keys[index], keys[index + 1]) for index in np.flatnonzero(kept).tolist()]
    gap_mix = _mix(pairs, labels.gap[kept], labels.gap_ns[kept])
    trains = len(labels.steps) > 0
    for pair, (_, ns) in recording.gaps.items():
        if pair[0] == BOUNDARY:
            seconds["startup", "startup"] += ns / 1e9
        elif pair[1] == BOUNDARY:
            seconds["shutdown", "shutdown"] += ns / 1e9
        else:
            default: Label = ("step", PYTHON) if trains else ("startup", "startup")
            _share_out(seconds, ns, gap_mix.get(pair), labels.names, default)
    _divide_startup(recording, seconds)
    _divide_backward(recording, seconds)
    _after_detach(recording, seconds)
    probes = take_out_probes(recording, by_key, seconds)
    return Partition(recording.end_ns / 1e9, dict(seconds), by_key, probes)


def _divide_startup(recording: Recording, seconds: dict[Label, float]) -> None:
    """Start-up until slowprobe had attached is its own (and the interpreter's); of the rest, samples tell imports."""
    startup: Label = ("startup", "startup")
    before_s = min(seconds.get(startup, 0.0), costs(recording).get("slowprobe.attached_ns", 0.0) / 1e9)
    if before_s > 0:
        seconds["startup", "slowprobe"] += before_s
        seconds[startup] -= before_s
    rows = [row for row in recording.sampled.rows if row.key == BOUNDARY]
    sampled = sum(row.wall_ns for row in rows)
    importing = sum(
        row.wall_ns
        for row in rows
        if any(frame.file == "<frozen importlib._bootstrap>" for frame in recording.sampled.stack(row.stack))
    )
    if importing:
        moved_s = seconds[startup] * importing / sampled
        seconds["startup", "imports"] += moved_s
        seconds[startup] -= moved_s


def _divide_backward(recording: Recording, seconds: dict[Label, float]) -> None:
    """Of several ranks on CPUs, one that is off its CPU inside backward waits for the others' gradients.

    With a device the training thread always waits there, for autograd's own thread, so that nothing can be told.
    """
    state = recording.run.last(State)
    if ranks(recording.run) == 1 or (state is not None and state.values.get("devices")):
        return
    rows = [row for row in recording.sampled.rows if row.is_open and row.key[0] == BACKWARD]
    wall = sum(row.wall_ns for row in rows)
    waiting = 1 - sum(row.cpu_ns for row in rows) / wall if wall else 0.0
    for scope in ("step", "off_step"):
        moved_s = seconds.get((scope, "backward"), 0.0) * max(0.0, waiting)
        if moved_s > 0:
            seconds[scope, "communication"] += moved_s
            seconds[scope, "backward"] -= moved_s


def _after_detach(recording: Recording, seconds: dict[Label, float]) -> None:
    """What chunks do not cover: slowprobe's own last writes, the interpreter's end, or what a kill cut off."""
    rest = recording.end_ns - recording.accounted_ns
    if recording.detached_ns is None:
        seconds["shutdown", "unaccounted"] += rest / 1e9
        return
    own = max(0, recording.detached_ns - recording.covered_ns)
    lost = max(0, recording.covered_ns - recording.accounted_ns)  # chunks that could not be read
    seconds["shutdown", "slowprobe"] += own / 1e9
    seconds["shutdown", "unaccounted"] += lost / 1e9
    seconds["shutdown", "shutdown"] += max(0, rest - own - lost) / 1e9


def _mix(
    keys: list[Key] | list[tuple[Key, Key]], labels: np.typing.NDArray[np.int64], weights: np.typing.NDArray[np.int64]
) -> dict[object, dict[int, int]]:
    mix: dict[object, dict[int, int]] = {}
    for key, label, weight in zip(keys, labels.tolist(), weights.tolist(), strict=True):
        shares = mix.setdefault(key, {})
        shares[label] = shares.get(label, 0) + weight
    return mix


def _share_out(
    seconds: dict[Label, float], ns: int, mix: dict[int, int] | None, names: list[Label], default: Label
) -> None:
    weight = sum(mix.values()) if mix else 0
    if not mix or weight <= 0:
        label = names[next(iter(mix))] if mix else default
        seconds[label] += ns / 1e9
        return
    for number, part in mix.items():
        seconds[names[number]] += ns / 1e9 * part / weight

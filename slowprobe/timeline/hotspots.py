"""The user's source lines that time is spent in, from the stack samples."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from slowprobe.run.record import Site
from slowprobe.run.schema import Manifest
from slowprobe.run.user_code import is_users
from slowprobe.run.worker_records import WorkerBatches
from slowprobe.timeline.labels import Labels
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.recording import BOUNDARY, KIND, Frame, Key, Recording, SampleRow

_IN_SITE = re.compile(r"/(?:site|dist)-packages/")
MIN_SAMPLES = 3  # fewer say nothing about a share


@dataclass(frozen=True)
class LineTime:
    """Time in one user line and what it calls, within one bucket.

    seconds are scaled so that the lines of a bucket add up to the bucket; `waiting` is the share spent off the CPU;
    `leaf_share` the share in which the line itself ran, or library code it called that is not Python.
    """

    file: str
    line: int
    function: str
    scope: str
    bucket: str
    seconds: float
    samples: int
    waiting: float
    leaf_share: float
    callee: str
    """The library function most often found directly below the line; empty when it was none."""
    package: str = ""
    """The installed package that works below the line, most often; torch only where there is no other."""
    callers: tuple[Site, ...] = ()
    """The user's lines that led to it, the nearest first, most often."""

    @property
    def site(self) -> Site:
        """The line as a place."""
        return Site(self.file, self.line, self.function)


class UserCode:
    """Tells the user's files from libraries by the folders recorded in the manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._prefixes, self._user_folders = manifest.prefixes, manifest.user_folders
        self._known: dict[str, bool] = {}

    def __call__(self, file: str) -> bool:
        known = self._known.get(file)
        if known is None:
            known = not file.startswith("<") and is_users(file, self._prefixes, self._user_folders)
            self._known[file] = known
        return known

    def innermost(self, stack: tuple[Frame, ...]) -> int | None:
        """The index of the innermost user frame."""
        for index in range(len(stack) - 1, -1, -1):
            if self(stack[index].file):
                return index
        return None


def line_times(recording: Recording, labels: Labels, split: Partition) -> list[LineTime]:
    """The user's lines by time, most first. Samples are weighted so that each bucket adds up to its exact seconds."""
    is_user = UserCode(recording.run.manifest)
    label_of = label_contexts(recording, labels, split)
    rows: dict[tuple[str, str], list[SampleRow]] = defaultdict(list)
    for row in recording.sampled.rows:
        rows[label_of(row)].append(row)
    found: list[LineTime] = []
    for (scope, bucket), members in rows.items():
        sampled_ns = sum(row.wall_ns for row in members)
        bucket_s = split.seconds.get((scope, bucket), 0.0)
        # A bucket may be empty for all its samples: the time of imports is taken out of start-up.
        if sum(row.count for row in members) < MIN_SAMPLES or not sampled_ns or bucket_s < 1e-6:
            continue
        scale = bucket_s / sampled_ns
        found += _lines(recording, members, is_user, scope, bucket, scale)
    return sorted(found, key=lambda line: (-line.seconds, line.file, line.line, line.bucket))


def _lines(
    recording: Recording, rows: list[SampleRow], is_user: UserCode, scope: str, bucket: str, scale: float
) -> list[LineTime]:
    groups: dict[Frame, list[tuple[SampleRow, tuple[Frame, ...]]]] = defaultdict(list)
    callers: dict[Frame, dict[tuple[Frame, ...], int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        stack = recording.sampled.stack(row.stack)
        index = is_user.innermost(stack)
        if index is not None:
            groups[stack[index]].append((row, stack[index + 1 :]))
            above = tuple(frame for frame in reversed(stack[:index]) if is_user(frame.file))
            callers[stack[index]][above] += row.wall_ns
    return [
        replace(_line(frame, members, scope, bucket, scale), callers=_most(callers[frame]))
        for frame, members in groups.items()
    ]


def _most(callers: dict[tuple[Frame, ...], int]) -> tuple[Site, ...]:
    found = max(callers, key=lambda frames: callers[frames])
    return tuple(Site(frame.file, frame.line, frame.function) for frame in found)


def _line(
    frame: Frame, members: list[tuple[SampleRow, tuple[Frame, ...]]], scope: str, bucket: str, scale: float
) -> LineTime:
    wall = sum(row.wall_ns for row, _ in members)
    cpu = sum(row.cpu_ns for row, _ in members)
    leaf = sum(row.wall_ns for row, below in members if not below)
    callees: dict[str, int] = defaultdict(int)
    packages: dict[str, int] = defaultdict(int)
    for row, below in members:
        if below:
            callees[below[0].function] += row.wall_ns
            packages[_package(below)] += row.wall_ns
    return LineTime(
        file=frame.file,
        line=frame.line,
        function=frame.function,
        scope=scope,
        bucket=bucket,
        seconds=wall * scale,
        samples=sum(row.count for row, _ in members),
        waiting=max(0.0, 1 - cpu / wall) if wall else 0.0,
        leaf_share=leaf / wall if wall else 0.0,
        callee=max(sorted(callees), key=lambda name: callees[name]) if callees else "",
        package=max(sorted(packages), key=lambda name: packages[name]) if packages else "",
    )


def _package(stack: tuple[Frame, ...]) -> str:
    """The first package on a stack that is installed and not torch; torch where there is no other."""
    found = [
        part[-1].partition("/")[0].removesuffix(".py") for frame in stack if len(part := _IN_SITE.split(frame.file)) > 1
    ]
    return next((name for name in found if name != "torch"), found[0] if found else "")


def label_contexts(recording: Recording, labels: Labels, split: Partition) -> Callable[[SampleRow], tuple[str, str]]:
    """A sample's bucket: that of its open span, or of the gap that follows the last span."""
    spans = recording.spans
    after: dict[Key, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for index, root in enumerate(labels.roots[:-1].tolist()):
        key = (int(spans.kind[root]), int(spans.subject[root]))
        after[key][int(labels.gap[index])] += max(int(labels.gap_ns[index]), 0)
    following = {key: labels.names[max(mix, key=lambda number: mix[number])] for key, mix in after.items()}
    inside = {key: max(mix, key=lambda label: mix[label]) for key, mix in split.by_key.items() if mix}
    startup, shutdown = ("startup", "startup"), ("shutdown", "shutdown")

    def label(row: SampleRow) -> tuple[str, str]:
        if row.end_ns <= labels.loop_start_ns or row.key == BOUNDARY:
            return startup
        if row.start_ns >= labels.loop_end_ns:
            return shutdown
        known = inside.get(row.key) if row.is_open else following.get(row.key)
        return known or ("step", "python")

    return label


def worker_line_times(workers: list[Recording], is_user: UserCode) -> list[LineTime]:
    """The user's lines inside loader workers; seconds are summed over workers.

    Workers are sampled for a part of the time; the samples share out what their batches took in all.
    """
    found: list[LineTime] = []
    for bucket in ("fetch", "collate"):
        groups: dict[Frame, list[tuple[SampleRow, tuple[Frame, ...]]]] = defaultdict(list)
        sampled_ns = made_ns = 0
        for worker in workers:
            made_ns += sum(part.every * sum(getattr(part, bucket)) for part in worker.run.of(WorkerBatches))
            for row in worker.sampled.rows:
                if row.key[0] != KIND[bucket]:
                    continue
                sampled_ns += row.wall_ns
                stack = worker.sampled.stack(row.stack)
                index = is_user.innermost(stack)
                if index is not None:
                    groups[stack[index]].append((row, stack[index + 1 :]))
        scale = made_ns / sampled_ns if made_ns and sampled_ns else 1.0
        found += [_line(frame, members, "worker", bucket, scale / 1e9) for frame, members in groups.items()]
    return sorted(found, key=lambda line: (-line.seconds, line.file, line.line, line.bucket))

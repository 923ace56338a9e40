"""Which code ran while a loader's batches were made, or its workers started: stack samples with all their frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from slowprobe.run.record import Site
from slowprobe.run.worker_records import WorkerHello
from slowprobe.timeline.recording import KIND, Frame, Recording, SampleRow

_BUCKETS = {KIND["fetch"]: "fetch", KIND["collate"]: "collate", KIND["loader_start"]: "start"}


@dataclass(frozen=True)
class StackTime:
    """Time on one stack: in the dataset (`fetch`), in `collate`, or while an iterator starts (`start`).

    frames: outermost first; users: which of them are the user's. Seconds are of all workers together, unscaled.
    """

    bucket: str
    frames: tuple[Frame, ...]
    users: tuple[bool, ...]
    seconds: float
    cpu_s: float
    samples: int

    @property
    def user(self) -> int:
        """The index of the innermost user frame; −1 where there is none."""
        return max((index for index, is_users in enumerate(self.users) if is_users), default=-1)

    @property
    def site(self) -> Site | None:
        """The innermost line of the user's."""
        return self.site_at(self.user)

    @property
    def below(self) -> tuple[Frame, ...]:
        """The library's frames below that line; empty where the line itself ran, or what is not Python."""
        return self.frames[self.user + 1 :]

    def site_at(self, index: int) -> Site | None:
        """The line of one frame."""
        return (
            None if index < 0 else Site(*(getattr(self.frames[index], name) for name in ("file", "line", "function")))
        )


def making_stacks(
    recording: Recording, workers: Iterable[Recording], is_user: Callable[[str], bool]
) -> dict[int, list[StackTime]]:
    """The stacks of every loader, by loader id, most seconds first."""
    found: dict[int, dict[tuple[str, tuple[Frame, ...]], list[float]]] = {}

    def add(loader: int, row: SampleRow, frames: tuple[Frame, ...]) -> None:
        sums = found.setdefault(loader, {}).setdefault((_BUCKETS[row.key[0]], frames), [0.0, 0.0, 0])
        for place, value in enumerate((row.wall_ns / 1e9, row.cpu_ns / 1e9, row.count)):
            sums[place] += value

    for row in recording.sampled.rows:
        if row.is_open and row.key[0] in _BUCKETS:
            add(row.key[1], row, recording.sampled.stack(row.stack))
    for worker in workers:
        hello = worker.run.last(WorkerHello)
        for row in worker.sampled.rows if hello is not None else ():
            if row.key[0] in _BUCKETS and hello is not None:
                add(hello.loader, row, worker.sampled.stack(row.stack))
    return {
        loader: sorted(
            (
                StackTime(bucket, frames, tuple(is_user(frame.file) for frame in frames), wall, cpu, int(count))
                for (bucket, frames), (wall, cpu, count) in stacks.items()
            ),
            key=lambda stack: -stack.seconds,
        )
        for loader, stacks in found.items()
    }

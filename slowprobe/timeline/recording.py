"""A run's records as tables: single spans, exact totals, subjects, stack samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from slowprobe.run.reader import RunRecords
from slowprobe.run.sample_records import Frames, Samples
from slowprobe.run.schema import KINDS, Chunk, End, Exit, SpanKind, Spans, Subject

Ints = npt.NDArray[np.int64]
KIND: dict[str, int] = {kind: number for number, kind in enumerate(KINDS)}
NO_SPAN = -1

Key = tuple[int, int]
"""(kind number, subject id) of a span; (-1, 0) is the start or end of the run."""
BOUNDARY: Key = (NO_SPAN, 0)


@dataclass(frozen=True)
class SpanTable:
    """Single spans in order of their start, as equally long columns. Times in ns since the start of the run."""

    kind: Ints
    subject: Ints
    start: Ints
    duration: Ints
    self_ns: Ints
    depth: Ints
    stretch: Ints

    @property
    def end(self) -> Ints:
        """Start plus duration."""
        return self.start + self.duration

    def __len__(self) -> int:
        return len(self.kind)

    def where(self, mask: npt.NDArray[np.bool_]) -> SpanTable:
        """The rows that `mask` selects."""
        columns = (self.kind, self.subject, self.start, self.duration, self.self_ns, self.depth, self.stretch)
        return SpanTable(*(column[mask] for column in columns))


@dataclass(frozen=True)
class SpanTotal:
    """Exact totals of one span key over the run."""

    count: int
    self_ns: int
    total_ns: int
    longest_ns: int


@dataclass(frozen=True)
class Frame:
    """A line on a sampled stack."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class SampleRow:
    """Samples of one stack in one context, merged over a chunk; see `sample_records.Samples`."""

    key: Key
    is_open: bool
    stack: int
    count: int
    wall_ns: int
    cpu_ns: int
    process_cpu_ns: int
    start_ns: int
    end_ns: int


class Recording:
    """The tables of one process: the training process, or one loader worker (`records` says whose)."""

    def __init__(self, run: RunRecords) -> None:
        self.run = run
        self.subjects: dict[int, Subject] = {subject.id: subject for subject in run.of(Subject)}
        self.sampled = Stacks(run.of(Frames), run.of(Samples))

    def subject(self, number: int) -> Subject:
        """The subject `number`; an unnamed one where its record was lost."""
        return self.subjects.get(number) or Subject(id=number, kind="data_wait", name="unknown")

    @cached_property
    def spans(self) -> SpanTable:
        """Every span that was kept, by start time."""
        parts = self.run.of(Spans)
        if not parts:
            return SpanTable(*(np.empty(0, dtype=np.int64) for _ in range(7)))
        columns = [
            np.concatenate([np.asarray(getattr(part, name), dtype=np.int64) for part in parts])
            for name in ("kind", "subject", "start", "duration", "self_ns", "depth")
        ]
        lengths = [len(part.kind) for part in parts]
        columns[2] = columns[2] + np.repeat([part.base_ns for part in parts], lengths)
        stretch = np.repeat([part.stretch for part in parts], lengths)
        order = np.lexsort((columns[5], columns[2]))
        columns.append(stretch)
        return SpanTable(*(column[order] for column in columns))

    @cached_property
    def totals(self) -> dict[Key, SpanTotal]:
        """Exact totals of every span key."""
        sums: dict[Key, list[int]] = {}
        for chunk in self.run.of(Chunk):
            for kind, subject, count, own, whole, longest in chunk.spans:
                total = sums.setdefault((kind, subject), [0, 0, 0, 0])
                total[0] += count
                total[1] += own
                total[2] += whole
                total[3] = max(total[3], longest)
        return {key: SpanTotal(*total) for key, total in sums.items()}

    @cached_property
    def gaps(self) -> dict[tuple[Key, Key], tuple[int, int]]:
        """Time in no span, by the outermost spans before and after: (count, ns)."""
        sums: dict[tuple[Key, Key], list[int]] = {}
        for chunk in self.run.of(Chunk):
            for kind, subject, next_kind, next_subject, count, ns in chunk.gaps:
                total = sums.setdefault(((kind, subject), (next_kind, next_subject)), [0, 0])
                total[0] += count
                total[1] += ns
        return {pair: (total[0], total[1]) for pair, total in sums.items()}

    @cached_property
    def covered_ns(self) -> int:
        """Until when chunks account for the run."""
        chunks = self.run.of(Chunk)
        return chunks[-1].end_ns if chunks else 0

    @cached_property
    def accounted_ns(self) -> int:
        """The time that spans and gaps of the chunks add up to.

        `covered_ns`, unless the run was cut short inside a span (then more) or chunks were lost (then less).
        """
        spans = sum(total.self_ns for total in self.totals.values())
        return spans + sum(ns for _, ns in self.gaps.values())

    @cached_property
    def detached_ns(self) -> int | None:
        """When slowprobe had taken itself off; None when the run was cut short."""
        end = self.run.last(End)
        return end.detached_ns if end else None

    @cached_property
    def end_ns(self) -> int:
        """When the process was gone, or the last thing known of it."""
        ended = self.run.last(Exit)
        known = [self.covered_ns, self.accounted_ns, self.detached_ns or 0]
        if ended is not None:
            known.append(ended.at_ns)
        return max(known)

    def keys(self, kind: SpanKind) -> list[Key]:
        """The span keys of one kind that occurred, in order of first sight."""
        return sorted(key for key in self.totals if key[0] == KIND[kind])


class Stacks:
    """The stack sampler's tables."""

    def __init__(self, frames: list[Frames], samples: list[Samples]) -> None:
        self._frames: dict[int, Frame] = {}
        self._stacks: dict[int, tuple[Frame, ...]] = {}
        for record in frames:
            for number, file, line, function in record.frames:
                self._frames[number] = Frame(file, line, function)
            for number, path in record.stacks:
                self._stacks[number] = tuple(self._frames[frame] for frame in path if frame in self._frames)
        self.rows = [
            SampleRow((kind, subject), bool(is_open), stack, count, wall, cpu, process, sample.start_ns, sample.end_ns)
            for sample in samples
            for kind, subject, is_open, stack, count, wall, cpu, process in sample.rows
        ]

    def stack(self, number: int) -> tuple[Frame, ...]:
        """The frames of a stack, outermost first; empty where its record was lost."""
        return self._stacks.get(number, ())

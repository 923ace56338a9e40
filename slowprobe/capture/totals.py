"""Turns closed spans into chunks: exact totals for ever, single spans as long as there is room for them."""

from __future__ import annotations

from collections import deque

from slowprobe.capture.late_numpy import Ints, np
from slowprobe.capture.recorder import KIND
from slowprobe.capture.span_key import SUBJECT_BITS, SUBJECT_MASK, split_key
from slowprobe.run.schema import Chunk, Spans

HEAD_SPANS = 200_000  # every span of the first minutes: start-up, the settled loop, its epochs
LATER_SPANS = 400_000  # for the rest of the run, however long: a burst from each chunk
TAIL_SPANS = 20_000  # the end of the run is kept whole: shutdown is read from it
_GC = KIND["gc"]


class Totals:
    """Reads the recorder's rows in order; holds sums and the tail of the run, nothing that grows with its length.

    Bound: chunks get longer as the run does (`chunk_seconds`), so their number grows with the logarithm of the run's
    length; single spans stop at HEAD_SPANS + LATER_SPANS + TAIL_SPANS.
    """

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._last_end = start_ns
        self._last_key = -1
        self._collected = 0  # in collections since the last other outermost span
        self.run_ns: dict[int, int] = {}
        """Total duration of every span key over the run."""
        self._spans: dict[int, list[int]] = {}
        self._gaps: dict[tuple[int, int], list[int]] = {}
        self._head_left = HEAD_SPANS
        self._later_left = LATER_SPANS
        self._burst_left = 0
        self._raw = 0
        self._stretch = 0
        self._broken = False
        self._tail: deque[Ints] = deque()
        self._tail_length = 0

    @staticmethod
    def chunk_seconds(elapsed_s: float) -> float:
        """How long a chunk lasts once the run has lasted `elapsed_s`."""
        return max(1.0, elapsed_s / 600)

    def add(self, table: Ints) -> list[Spans]:
        """Take over closed spans, a row each (`SpanRows`); return those to be written one by one."""
        if not len(table):
            return []
        self._add_spans(table)
        outermost = table[:, 4] == 0
        collections = table[:, 0] >> SUBJECT_BITS == _GC
        self._add_gaps(table[outermost & ~collections], table[outermost & collections])
        room = self._head_left if self._head_left > 0 else self._burst_left
        keep = min(len(table), room)
        if self._head_left > 0:
            self._head_left -= keep
        else:
            self._burst_left -= keep
        written = self._write(table[:keep])
        self._keep_tail(table[keep:])
        return written

    def chunk(self, now_ns: int, open_rows: list[list[int]], final: bool = False) -> list[Chunk | Spans]:
        """Close the chunk; the `final` one counts the time up to `now_ns` and brings the tail of the run."""
        records: list[Chunk | Spans] = []
        if final:
            self._gap(self._last_key, -1, max(0, now_ns - self._last_end - self._collected), 1)
            self._last_end = max(now_ns, self._last_end)
            if self._tail:
                records += self._write(np.concatenate(self._tail)[-TAIL_SPANS:])
        end_ns = self._last_end
        spans = [[*split_key(key), *row] for key, row in self._spans.items()]
        gaps = [[*split_key(before), *split_key(after), *row] for (before, after), row in self._gaps.items()]
        records.append(
            Chunk(start_ns=self._start_ns, end_ns=end_ns, spans=spans, gaps=gaps, raw=self._raw, open=open_rows)
        )
        self._start_ns = end_ns
        self._spans, self._gaps, self._raw = {}, {}, 0
        self._burst_left = max(1, self._later_left // 300)  # geometric: early chunks get more, never used up
        self._later_left -= self._burst_left
        return records

    def _add_spans(self, table: Ints) -> None:
        keys, index = _numbered(table[:, 0])
        longest = np.zeros(len(keys), dtype=np.int64)
        np.maximum.at(longest, index, table[:, 2])
        columns = np.bincount(index), _sums(index, table[:, 3]), _sums(index, table[:, 2]), longest
        for key, row in zip(keys.tolist(), np.stack(columns, axis=1).tolist(), strict=True):
            total = self._spans.setdefault(key, [0, 0, 0, 0])
            total[0] += row[0]
            total[1] += row[1]
            total[2] += row[2]
            total[3] = max(total[3], row[3])
            self.run_ns[key] = self.run_ns.get(key, 0) + row[2]

    def _add_gaps(self, roots: Ints, collections: Ints) -> None:
        # A collection between two spans is a span of its own but no neighbour: it says nothing of where the loop is.
        if not len(roots):
            self._collected += int(collections[:, 2].sum())
            return
        ends = roots[:, 1] + roots[:, 2]
        before = np.concatenate([[self._last_key], roots[:-1, 0]])
        lengths = roots[:, 1] - np.concatenate([[self._last_end], ends[:-1]])
        lengths[0] -= self._collected
        before_root = np.searchsorted(roots[:, 1], collections[:, 1], side="right")
        inside = before_root < len(roots)
        np.subtract.at(lengths, before_root[inside], collections[inside, 2])
        self._collected = int(collections[~inside, 2].sum())
        firsts, first = _numbered(before)
        seconds, second = _numbered(roots[:, 0])
        pairs, pair = _numbered(first * len(seconds) + second)
        counts, sums = np.bincount(pair).tolist(), _sums(pair, lengths).tolist()
        for number, count, ns in zip(pairs.tolist(), counts, sums, strict=True):
            self._gap(int(firsts[number // len(seconds)]), int(seconds[number % len(seconds)]), ns, count)
        self._last_key, self._last_end = int(roots[-1, 0]), int(ends[-1])

    def _gap(self, before: int, after: int, ns: int, count: int) -> None:
        total = self._gaps.setdefault((before, after), [0, 0])
        total[0] += count
        total[1] += ns

    def _keep_tail(self, table: Ints) -> None:
        if len(table):
            self._tail.append(table.copy())
            self._tail_length += len(table)
            self._broken = True
        while self._tail and self._tail_length - len(self._tail[0]) >= TAIL_SPANS:
            self._tail_length -= len(self._tail.popleft())

    def _write(self, table: Ints) -> list[Spans]:
        if not len(table):
            return []
        if self._broken:
            self._stretch += 1
            self._broken = False
        self._raw += len(table)
        base = int(table[:, 1].min())
        return [
            Spans(
                stretch=self._stretch,
                base_ns=base,
                kind=(table[:, 0] >> SUBJECT_BITS).tolist(),
                subject=(table[:, 0] & SUBJECT_MASK).tolist(),
                start=(table[:, 1] - base).tolist(),
                duration=table[:, 2].tolist(),
                self_ns=table[:, 3].tolist(),
                depth=table[:, 4].tolist(),
            )
        ]


def _numbered(values: Ints) -> tuple[Ints, Ints]:
    """The different values, sorted, and for each value its place among them (np.unique's own inverse is far slower)."""
    different = np.unique(values)
    return different, np.searchsorted(different, values)


def _sums(index: Ints, values: Ints) -> Ints:
    """The sum of `values` for each index; exact below 2**53 ns, a hundred days."""
    return np.bincount(index, weights=values).astype(np.int64)

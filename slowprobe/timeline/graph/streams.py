"""Streams of the device: what each had been given when, and what its rows wait for on the device."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.graph.calls import Calls, event_waits
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

ROUNDING_NS = 2_000  # starts and durations in whole µs, each rounded: neighbours seem to overlap by up to that
CLOCKS_NS = 20_000  # between host and device clocks: a wait may seem to end so much before what it waited for


_HELD_NS = 50_000  # queued this long on a free stream is not a matter of latency
_LAST_BLOCKS = 0.1  # of a kernel's time, in which others can begin already
_NEXT_TO_END = 16  # rows looked at: among them can be the one held up, and short ones behind it
_TURN_NS = 5_000  # between the end of what held the device and the start of what waited for it


@dataclass(frozen=True, slots=True)
class Stream:
    """One queue of one device."""

    device: int
    stream: int
    rows: Ints
    """Positions of its device rows, in order."""
    given_ns: Sequence[int]
    """When each was launched; never decreasing. A row without a launch may have been given with the one before it."""
    ends_ns: Sequence[int]
    launches: Sequence[int]
    """How many rows up to each have a launch."""

    def last_before(self, time_ns: int, over_ns: int | None = None) -> int:
        """Index of the last row that was launched before a time; −1 when there is none.

        over_ns: what has no launch and ended later counts as launched later.
        """
        last = bisect_left(self.given_ns, time_ns) - 1
        if over_ns is not None and last >= 0 and self.ends_ns[last] > over_ns:
            ended = bisect_right(self.ends_ns, over_ns) - 1
            if self.launches[last] == (self.launches[ended] if ended >= 0 else 0):
                return ended
        return last


class Streams:
    """All streams, with what the trace says of synchronisation between them."""

    def __init__(self, trace: Trace, rows: DeviceRows, calls: Calls) -> None:
        self._trace, self._rows, self._calls = trace, rows, calls
        has_launch = rows.launch != MISSING
        self._launched_ns = trace.ends_of(rows.launch)
        earliest = np.iinfo(np.int64).min
        given = np.where(has_launch, np.minimum(trace.start_ns[rows.launch], rows.start_ns), earliest)
        self.streams: dict[tuple[int, int], Stream] = {}
        key = rows.device.astype(np.int64) * (1 << 32) + rows.stream
        order = np.argsort(key, kind="stable")
        for mine in np.split(order, np.flatnonzero(np.diff(key[order])) + 1) if len(order) else ():
            place = int(rows.device[mine[0]]), int(rows.stream[mine[0]])
            columns = (np.maximum.accumulate(given[mine]), rows.end_ns[mine], np.cumsum(has_launch[mine]))
            self.streams[place] = Stream(*place, mine, *(column.data for column in columns))
        sync = np.flatnonzero(trace.is_category("cuda_sync"))
        self.told = dict(zip(trace.correlation[sync].tolist(), sync.tolist(), strict=True))
        """Rows about synchronisation, by the correlation of the call that they are about."""
        events = calls.row[trace.matches(lambda name: "Event" in name)[calls.row]] if self.told else sync
        self._call_start: dict[int, int] = dict(
            zip(trace.correlation[events].tolist(), trace.start_ns[events].tolist(), strict=True)
        )

    def recorded_ns(self, sync_row: int, default_ns: int) -> int:
        """When the event that a synchronisation is about was recorded, on the host's clock."""
        return self._call_start.get(int(self._trace.sync_event[sync_row]), default_ns)

    def before(self) -> Ints:
        """Per device row: the one that had to end first on its stream; `MISSING` for none.

        That is the one in front of it, or where rows of a stream run side by side, the last that had ended.
        """
        before = np.full(len(self._rows), MISSING, dtype=np.int64)
        for stream in self.streams.values():
            start_ns, end_ns = self._rows.start_ns[stream.rows], self._rows.end_ns[stream.rows]
            index = np.arange(-1, len(start_ns) - 1)
            beside = np.flatnonzero(end_ns[:-1] > start_ns[1:] + ROUNDING_NS) + 1
            if len(beside):
                by_end = np.argsort(end_ns, kind="stable")
                place = np.searchsorted(end_ns[by_end], start_ns[beside] + ROUNDING_NS, side="right") - 1
                ended = np.where(place >= 0, by_end[place], MISSING)
                index[beside] = np.where(ended < beside, ended, MISSING)
            before[stream.rows[1:]] = np.where(index[1:] >= 0, stream.rows[index[1:]], MISSING)
        return before

    def waits(self) -> tuple[Ints, Ints]:
        """Device rows that wait for a row of another stream through an event: (waiting, awaited) positions."""
        pairs = {(waiting, awaited) for waiting, awaited in self._event_waits() if self._fits(waiting, awaited)}
        waiting, awaited = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
        return waiting, awaited

    def held_up(self, before: Ints, waiting: Ints, awaited: Ints) -> tuple[Ints, Ints]:
        """Rows that could have begun long before, and did when a row of another stream ended: it filled the device.

        The device makes room while the last blocks of a kernel still run. before, waiting, awaited: as the other
        methods give them. Returns (held up, holding) positions.
        """
        rows = self._rows
        ready_ns = np.where(before == MISSING, np.iinfo(np.int64).min, rows.end_ns[before])
        ready_ns = np.maximum(ready_ns, np.where(rows.launch == MISSING, rows.start_ns, self._launched_ns))
        np.maximum.at(ready_ns, waiting, rows.end_ns[awaited])
        late = np.flatnonzero(ready_ns + _HELD_NS < rows.start_ns)
        by_end = np.argsort(rows.end_ns, kind="stable")
        at = np.searchsorted(rows.end_ns[by_end], rows.start_ns[late] + ROUNDING_NS, side="right")
        holding = by_end[at - 1]
        held = self._beside(late, holding) & (rows.end_ns[holding] > rows.start_ns[late] - _TURN_NS)
        for further in range(_NEXT_TO_END):
            ending = by_end[np.minimum(at + further, len(by_end) - 1)]
            left_ns = rows.end_ns[ending] - rows.start_ns[late]
            nearly = left_ns <= _LAST_BLOCKS * (rows.end_ns[ending] - rows.start_ns[ending])
            nearly &= self._beside(late, ending) & (rows.start_ns[ending] < rows.start_ns[late]) & (left_ns > 0) & ~held
            holding = np.where(nearly, ending, holding)
            held |= nearly
        return late[held], holding[held]

    def _beside(self, one: Ints, other: Ints) -> Bools:
        rows = self._rows
        return np.asarray((rows.device[one] == rows.device[other]) & (rows.stream[one] != rows.stream[other]))

    def _fits(self, waiting: int, awaited: int) -> bool:
        return bool(self._rows.end_ns[awaited] <= self._rows.start_ns[waiting] + ROUNDING_NS)

    def _event_waits(self) -> Iterator[tuple[int, int]]:
        waits = event_waits(self._trace, self._calls)
        correlations = self._trace.correlation[self._calls.row[waits]].tolist()
        known = [self.told[c] for c in correlations if c in self.told]
        if not known:
            yield from self._guessed(waits)
            return
        for row in known:
            trace = self._trace
            device = int(trace.device[row])
            target = self.streams.get((device, int(trace.stream[row])))
            source = self.streams.get((device, int(trace.sync_stream[row])))
            if target is None or source is None:
                continue
            called_ns = self._call_start[int(trace.correlation[row])]
            first = target.last_before(called_ns) + 1
            last = source.last_before(self.recorded_ns(row, called_ns))
            if first < len(target.rows) and last >= 0:
                yield int(target.rows[first]), int(source.rows[last])

    def _guessed(self, waits: Ints) -> Iterator[tuple[int, int]]:
        """Without rows about them: a wait holds up the thread's next launch, until what was last given elsewhere.

        Several waits in front of one launch stand for so many streams. What ended after the launched row began cannot
        have been waited for; `waits` drops it.
        """
        launched = np.argsort(self._calls.launch_of, kind="stable")
        by_call = self._calls.launch_of[launched]
        next_up = np.searchsorted(by_call, waits, side="right")
        seen: dict[int, int] = {}
        for wait, at in zip(waits.tolist(), next_up.tolist(), strict=True):
            if at == len(by_call) or self._calls.place[by_call[at]] != self._calls.place[wait]:
                continue
            waiting = int(launched[at])
            seen[waiting] = seen.get(waiting, 0) + 1
            called_ns = int(self._calls.start_ns[wait])
            own = int(self._rows.device[waiting]), int(self._rows.stream[waiting])
            others = [s for s in self.streams.values() if s.device == own[0] and s.stream != own[1]]
            given = [(s.given_ns[i], int(s.rows[i])) for s in others if (i := s.last_before(called_ns)) >= 0]
            fitting = sorted((when, row) for when, row in given if self._fits(waiting, row))
            yield from ((waiting, row) for _, row in fitting[-seen[waiting] :])

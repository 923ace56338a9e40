"""A large trace of plain text, read in several processes: each turns a stretch of it into columns."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

from slowprobe.errors import TraceError
from slowprobe.trace.decode import EventDecoder, decode_header
from slowprobe.trace.events import Header
from slowprobe.trace.load import is_packed
from slowprobe.trace.rows import Rows
from slowprobe.trace.salvage import BOUNDARY
from slowprobe.trace.split import EventLists
from slowprobe.trace.without_gc import without_gc

Progress = Callable[[int, int], None]
"""Called with the bytes that are read, and with how many there are to read."""

_WORTH_BYTES = 32 << 20  # for each process: to start one and to hand columns over takes as long as reading half of that
_MOST_PROCESSES = 4  # each takes 40 MB beside its columns, and what follows the reading is done by one
_BLOCK_BYTES = 1 << 19
_SEARCHED_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class _Part:
    """A sound stretch of a trace."""

    rows: Rows
    before: bytes
    """The text up to the list of events, of the first part."""
    after: bytes
    """The text behind it, of the last."""


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_in_parts(path: Path, processes: int, progress: Progress | None = None) -> tuple[Rows, Header] | None:
    """All rows in the order of the file, and the header; None where one process has to read it all.

    That is so where it pays no more, and where anything is wrong with any part: who reads on from the start can tell
    what is damaged from what was only cut in the wrong place.
    """
    try:
        bounds = _bounds(path, processes)
        if len(bounds) < 3:
            return None
        # Not forked: this process may have threads (a progress bar, BLAS), whose locks a fork would copy as they are.
        with ProcessPoolExecutor(len(bounds) - 2, mp_context=multiprocessing.get_context("spawn")) as pool:
            others = [pool.submit(_read, path, *each) for each in list(pairwise(bounds))[1:]]
            return _joined(_read(path, bounds[0], bounds[1], progress), others)
    except (BrokenProcessPool, OSError):
        return None


def _joined(first: _Part | None, others: list[Future[_Part | None]]) -> tuple[Rows, Header] | None:
    """Lets go of each part when its rows are taken over."""
    if first is None:
        return None
    after = first.after
    while others:
        part = others.pop(0).result()
        if part is None or after:
            return None
        first.rows.extend(part.rows)
        after = part.after
    header, fault = (Header(), None) if first.before == b"[" else decode_header(first.before, after)
    return None if fault else (first.rows, header)


def _bounds(path: Path, processes: int) -> list[int]:
    """Where parts begin and end: between events, as it seems, so that a part begins with its separator."""
    size = path.stat().st_size
    count = min(processes, _MOST_PROCESSES, size // _WORTH_BYTES)
    if count < 2 or is_packed(path):
        return [0, size]
    bounds = [0]
    with path.open("rb") as file:
        for number in range(1, count):
            file.seek(size * number // count)
            cut = _first_cut(file.read(_SEARCHED_BYTES))
            if cut is not None:
                bounds.append(size * number // count + cut)
    return [*bounds, size]


def _first_cut(text: bytes) -> int | None:
    """Where an event ends and the next one, by all that can be seen here, is an event: no text inside a string is."""
    decoder = EventDecoder()
    for before, after in pairwise(BOUNDARY.finditer(text)):
        if decoder.one(text[before.end() - 1 : after.start() + 1]) is not None:
            return before.start() + 1
    return None


def _read(path: Path, begin: int, end: int, progress: Progress | None = None) -> _Part | None:
    """One part; None where it is not sound."""
    rows = Rows()
    lists = EventLists(_as_list(path, begin, end, progress), str(path))
    try:
        with without_gc():
            for events in lists:
                rows.add(events)
    except TraceError:
        return None
    if lists.after is None or lists.lost or lists.ends_early:
        return None
    return _Part(rows, lists.before, lists.after.strip())


def _as_list(path: Path, begin: int, end: int, progress: Progress | None) -> Iterator[bytes]:
    """The text of a part, with the brackets that make it a list of its own."""
    last = end == path.stat().st_size
    return chain([] if begin == 0 else [b"["], _blocks(path, begin, end, progress), [] if last else [b"]"])


def _blocks(path: Path, begin: int, end: int, progress: Progress | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        done = 0
        while block := file.read(min(_BLOCK_BYTES, end - begin - done)):
            done += len(block)
            if progress is not None:
                progress(done, end - begin)
            yield block

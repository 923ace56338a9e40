"""Reads the traces of several ranks, in several processes where that pays, and compares them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from slowprobe.errors import TraceError
from slowprobe.timeline.ranks.compare import compare
from slowprobe.timeline.ranks.facts import Ranks
from slowprobe.timeline.ranks.record import RankRecord, read_record
from slowprobe.trace.parts import cores

WORTH_BYTES = 8 << 20
"""Of trace files: below, starting processes takes longer than reading."""


def load_ranks(
    paths: Sequence[Path], jobs: int | None = None, done: Callable[[Path], None] = lambda path: None
) -> Ranks:
    """Reads every trace and lays the ranks side by side.

    jobs: processes; None for as many as there are cores, where the files are large enough. `done` is called after each
    file. A file that cannot be read costs only itself and becomes a warning; raises `TraceError` when none can.
    """
    records: list[RankRecord] = []
    faults: list[TraceError] = []
    for path, result in zip(paths, _read_all(paths, jobs), strict=True):
        done(path)
        if isinstance(result, TraceError):
            faults.append(result)
        else:
            records.append(result)
    if not records:
        raise faults[0] if faults else TraceError("no traces to read")
    return compare(records, [f"not read: {fault}" for fault in faults])


def processes(paths: Sequence[Path], jobs: int | None) -> int:
    """How many processes read so many files."""
    if jobs is not None:
        return max(1, min(jobs, len(paths)))
    size = sum(path.stat().st_size for path in paths if path.is_file())
    return 1 if size < WORTH_BYTES else max(1, min(cores(), len(paths)))


def _read_all(paths: Sequence[Path], jobs: int | None) -> Iterator[RankRecord | TraceError]:
    count = processes(paths, jobs)
    if count == 1:
        yield from map(_read, paths)
        return
    # Not forked: this process may have threads (a progress bar, BLAS), whose locks a fork would copy as they are.
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(_read, paths)
        except BrokenProcessPool:
            raise TraceError(
                f"one of {count} processes that read traces was ended from outside, as the system does when memory "
                "runs out: try fewer with --jobs."
            ) from None


def _read(path: Path) -> RankRecord | TraceError:
    try:
        return read_record(path)
    except TraceError as fault:
        return fault

"""Counts the calls of transforms: wall time without nested ones, and CPU time in some batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import get_ident
from typing import Any

from slowprobe.capture.item_digests import ItemLog
from slowprobe.capture.probes.wrapping import like
from slowprobe.capture.sites import PACKAGE
from slowprobe.run.record import Site
from slowprobe.run.worker_records import Transforms

READ_CPU_EVERY = 16
"""Batches: reading the CPU clock is a system call, and costs more than all else here."""
# `warnings` passes over frames whose file is named so: a transform's warning stays on the line that it names itself.
_UNSEEN = f"{PACKAGE}/capture/transform_timer.py (no frame of importlib._bootstrap)"

Clock = Callable[[], int]


class TransformTimer:
    """Times wrapped callables while a batch is fetched, on the thread that fetches it; one table a loader."""

    def __init__(self, clock: Clock = time.perf_counter_ns, cpu_clock: Clock = time.thread_time_ns) -> None:
        self.items = ItemLog()
        """Looks at what the transforms make of some items."""
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._names: list[str] = []
        self._sites: list[Site | None] = []
        self._tables: dict[int, list[list[int]]] = {}
        self._begun = 0
        self.wraps = False
        """Whether there is any transform to time."""
        # Read by the wrappers:
        self.thread = 0
        self.rows: list[list[int]] = []
        self.nested_ns = self.nested_cpu_ns = 0
        self.reads_cpu = False

    def begin(self, loader: int) -> None:
        """A batch of `loader` is about to be fetched on this thread."""
        rows = self._tables.get(loader)
        if rows is None:
            rows = self._tables[loader] = [[0, 0, 0, 0] for _ in self._names]
        self.reads_cpu = self._begun % READ_CPU_EVERY == 1  # the first batch is unlike the others
        self._begun += 1
        self.nested_ns = self.nested_cpu_ns = 0
        self.rows = rows
        self.thread = get_ident()

    def pause(self) -> int:
        """Count nothing for now (the batch is fetched, or is being collated); returns what `resume` takes."""
        thread, self.thread = self.thread, 0
        return thread

    def resume(self, thread: int) -> None:
        """Go on after a pause."""
        self.thread = thread

    def wrap(self, original: Callable[..., Any], name: str, site: Site | None) -> Callable[..., Any]:
        """`original` with its calls counted as `name` while a batch is being fetched."""
        self.wraps = True
        number = len(self._names)
        self._sites.append(site)
        self._names.append(name)
        for rows in self._tables.values():
            rows.append([0, 0, 0, 0])
        timer, clock, cpu_clock, thread, items = self, self._clock, self._cpu_clock, get_ident, self.items

        def timed(*args: Any, **kwargs: Any) -> Any:
            running = timer.thread  # first: where torch.compile traces this, nothing is being fetched
            if not running or thread() != running:
                return original(*args, **kwargs)
            outer, timer.nested_ns = timer.nested_ns, 0
            reads = timer.reads_cpu
            if reads:
                outer_cpu, timer.nested_cpu_ns = timer.nested_cpu_ns, 0
                cpu = cpu_clock()
            start = clock()
            try:
                output = original(*args, **kwargs)
            finally:
                elapsed = clock() - start
                own = elapsed - timer.nested_ns
                timer.nested_ns = outer + elapsed
                row = timer.rows[number]
                row[0] += 1
                row[1] += own
                if reads:
                    cpu = cpu_clock() - cpu
                    row[2] += own
                    row[3] += cpu - timer.nested_cpu_ns
                    timer.nested_cpu_ns = outer_cpu + cpu
            if items.looking:
                timer.nested_ns += items.transformed(number, output)
            return output

        timed.__code__ = timed.__code__.replace(co_filename=_UNSEEN)
        return like(timed, original)

    def take(self) -> list[Transforms]:
        """What was counted since the process began, a record for each loader that was seen."""
        return [
            Transforms(
                loader=loader,
                names=self._names[: len(rows)],
                sites=self._sites[: len(rows)],
                rows=[[number, *row] for number, row in enumerate(rows) if row[0]],
            )
            for loader, rows in list(self._tables.items())
            if any(row[0] for row in rows)
        ]

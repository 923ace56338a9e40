"""Inside a DataLoader worker: what each batch costs in the dataset and in collate, and where its time goes."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import util
from pathlib import Path
from typing import Any

from slowprobe.capture.pulse import Pulse
from slowprobe.capture.recorder import KIND
from slowprobe.capture.sampler import StackSampler
from slowprobe.capture.sites import strip_traceback
from slowprobe.capture.span_key import span_key
from slowprobe.run.schema import WorkerBatches, WorkerHello
from slowprobe.run.writer import JournalWriter

SWITCH_INTERVAL_S = 2e-5  # items take µs: the sampler must not wait for the next line that lets go by itself
THIN_AFTER = 2_000  # batches recorded at one rate; then half as often, so a file grows with the logarithm of the run
_COLUMNS = 5


class WorkerEntry:
    """A ``worker_init_fn`` that runs the user's own, then begins to record; works with fork, spawn and forkserver."""

    def __init__(
        self, original: Any, folder: str, loader: int, num_workers: int, origin_ns: int, max_bytes: int
    ) -> None:
        self.original = original
        self.folder = folder
        self.loader = loader
        self.num_workers = num_workers
        self.origin_ns = origin_ns
        self.max_bytes = max_bytes
        self.spawned_ns = time.perf_counter_ns()

    def __call__(self, worker: int) -> None:
        """Called by torch in the worker, before the dataset's fetcher is made."""
        with contextlib.suppress(Exception):  # a worker that cannot record still works
            WorkerRecorder(self, worker).attach()
        if self.original is not None:
            self.original(worker)


class WorkerRecorder:
    """Wraps the fetchers of this process and writes one file into the run folder."""

    def __init__(self, entry: WorkerEntry, worker: int) -> None:
        self._origin_ns = entry.origin_ns
        self._context = -1
        self._loader = entry.loader
        self._columns: list[list[int]] = [[] for _ in range(_COLUMNS)]
        self._collate_ns = 0
        self._every = 1
        self._seen = self._recorded = 0
        self._lock = threading.Lock()
        path = Path(entry.folder) / f"{entry.loader}-{worker}-{os.getpid()}.jsonl"
        self._journal = JournalWriter(path, entry.max_bytes)
        self._sampler = StackSampler(threading.get_ident(), entry.origin_ns, lambda: (self._context, True))
        self._journal.write(
            WorkerHello(
                pid=os.getpid(),
                worker=worker,
                num_workers=entry.num_workers,
                loader=entry.loader,
                at_ns=time.perf_counter_ns() - entry.origin_ns,
                spawned_ns=entry.spawned_ns - entry.origin_ns,
            )
        )

    def attach(self) -> None:
        """Wrap the fetcher classes and start the background thread; the process ends with the loader, so does this."""
        from torch.utils.data._utils import fetch

        for cls in (fetch._MapDatasetFetcher, fetch._IterableDatasetFetcher):
            cls.fetch = self._timed_fetch(cls.fetch)  # type: ignore[method-assign]
        self._hide_frames()
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))
        Pulse(self._sample, self._flush, lambda topic, error: None).start()
        util.Finalize(None, self._flush, exitpriority=100)

    def _hide_frames(self) -> None:
        """The traceback that the worker sends home as text is the one it would send without slowprobe."""
        from torch._utils import ExceptionWrapper

        wrapped: Any = ExceptionWrapper
        original = wrapped.__init__

        def __init__(wrapper: Any, exc_info: Any = None, *args: Any, **kwargs: Any) -> None:
            kind, error, _ = exc_info or sys.exc_info()
            strip_traceback(error)
            original(wrapper, (kind, error, error and error.__traceback__), *args, **kwargs)

        wrapped.__init__ = __init__

    def _sample(self) -> None:
        if self._context >= 0:
            self._sampler.sample()
        else:
            self._sampler.skip()

    def _timed_fetch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        fetching = span_key(KIND["fetch"], self._loader)

        def fetch(fetcher: Any, index: Any) -> Any:
            collate = fetcher.collate_fn
            if not isinstance(collate, _TimedCollate):
                fetcher.collate_fn = _TimedCollate(collate, self)
            self._context = fetching
            start, cpu = time.perf_counter_ns(), time.thread_time_ns()
            try:
                return original(fetcher, index)
            finally:
                wall, cpu = time.perf_counter_ns() - start, time.thread_time_ns() - cpu
                self._context = -1
                self._add(start, wall, cpu, len(index) if isinstance(index, (list, tuple)) else 1)

        return fetch

    def _add(self, start: int, wall: int, cpu: int, size: int) -> None:
        try:
            self._add_row(start, wall, cpu, size)
        except Exception as error:
            self._journal.fault = self._journal.fault or str(error)

    def _add_row(self, start: int, wall: int, cpu: int, size: int) -> None:
        collate, self._collate_ns = self._collate_ns, 0
        self._seen += 1
        if self._seen % self._every:
            return
        row = (start - self._origin_ns, wall - collate, cpu, collate, size)
        with self._lock:
            for column, value in zip(self._columns, row, strict=True):
                column.append(value)
        self._recorded += 1
        if self._recorded % THIN_AFTER == 0:
            self._flush()
            self._every *= 2

    def _flush(self) -> None:
        with self._lock:
            columns, self._columns = self._columns, [[] for _ in range(_COLUMNS)]
        if columns[0]:
            start, fetch, fetch_cpu, collate, size = columns
            self._journal.write(
                WorkerBatches(
                    every=self._every, start=start, fetch=fetch, fetch_cpu=fetch_cpu, collate=collate, size=size
                )
            )
        self._journal.write(*self._sampler.take())

    def collated(self, context: int, elapsed_ns: int) -> None:
        """A collate call has ended."""
        self._collate_ns += elapsed_ns
        self._context = context

    def collating(self) -> int:
        """A collate call begins; returns the context to go back to."""
        before, self._context = self._context, span_key(KIND["collate"], self._loader)
        return before


class _TimedCollate:
    """The user's collate function, timed."""

    def __init__(self, original: Callable[..., Any], recorder: WorkerRecorder) -> None:
        self._original = original
        self._recorder = recorder

    def __call__(self, items: Any) -> Any:
        context = self._recorder.collating()
        start = time.perf_counter_ns()
        try:
            return self._original(items)
        finally:
            self._recorder.collated(context, time.perf_counter_ns() - start)

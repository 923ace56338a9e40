"""Inside a DataLoader worker: what each batch costs in dataset, transforms, collate and hand-over, and where."""

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

from slowprobe.capture.batch_log import NOT_READ, BatchLog, time_hand_over
from slowprobe.capture.item_digests import Chosen
from slowprobe.capture.patches import Patches
from slowprobe.capture.pulse import Pulse
from slowprobe.capture.recorder import KIND
from slowprobe.capture.sampler import StackSampler
from slowprobe.capture.sites import strip_traceback
from slowprobe.capture.span_key import span_key
from slowprobe.capture.transform_timer import TransformTimer
from slowprobe.capture.transforms import TransformFinder
from slowprobe.capture.turn_taking import SamplingBursts
from slowprobe.capture.worker_resources import OpenCounter, WorkerMeter
from slowprobe.run.worker_records import WorkerHello
from slowprobe.run.writer import JournalWriter

SHORT_NS, CPU_EVERY = 2_000_000, 8  # of shorter batches so many are made for one whose CPU time is read: 2 µs a clock
EARLY_S, EARLY_PERIOD_S = 5.0, 0.1
READING_SHARE = 0.02  # of the time so far passes between two readings, a second at least: few in a long run


class WorkerEntry:
    """A ``worker_init_fn`` that runs the user's own, then begins to record; works with fork, spawn and forkserver."""

    def __init__(
        self,
        original: Any,
        folder: str,
        loader: int,
        num_workers: int,
        origin_ns: int,
        max_bytes: int,
        items: Chosen = frozenset(),
    ) -> None:
        self.original = original
        self.folder = folder
        self.loader = loader
        self.num_workers = num_workers
        self.origin_ns = origin_ns
        self.max_bytes = max_bytes
        self.items = items
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
        self._context = -1
        self._loader = entry.loader
        self._fetching = span_key(KIND["fetch"], entry.loader)
        self._collating = span_key(KIND["collate"], entry.loader)
        self._log = BatchLog(entry.origin_ns)
        self._collate_ns = self._collate_cpu_ns = 0
        self._batches, self.reads_cpu, self._last_ns = 0, True, 0
        self._timer = TransformTimer()
        self._items = self._timer.items
        self._items.choose(entry.loader, entry.items)
        self._finder = TransformFinder(self._timer, Patches(), replaces=True)
        self._bursts = SamplingBursts()
        self._opens = OpenCounter()
        self._meter = WorkerMeter(entry.origin_ns, self._opens)
        self._began_s = self._next_reading_s = self._written_s = time.monotonic()
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
        with contextlib.suppress(Exception):
            time_hand_over(self._log, self._write_early)
        with contextlib.suppress(Exception):
            self._opens.attach()
        self._journal.write(self._meter.read())  # what the process had before it made a batch
        Pulse(self._sample, self._flush, lambda topic, error: None).start()
        for priority in (100, -100):  # before the queue's thread is waited for, and after
            util.Finalize(None, self._end, exitpriority=priority)

    def _hide_frames(self) -> None:
        """The traceback that the worker sends home as text is the one it would send without slowprobe."""
        from torch._utils import ExceptionWrapper

        wrapped: Any = ExceptionWrapper
        original = wrapped.__init__

        def __init__(wrapper: Any, exc_info: Any = None, *args: Any, **kwargs: Any) -> None:
            kind, error, _ = exc_info or sys.exc_info()
            strip_traceback(error)
            original(wrapper, (kind, error, error and error.__traceback__), *args, **kwargs)
            self._end()  # the training ends now, as a rule, and its worker may be killed

        wrapped.__init__ = __init__

    def _sample(self, due_ns: int) -> None:
        if self._bursts.now() and self._context >= 0:
            self._sampler.sample()
        else:
            self._sampler.skip()

    def _timed_fetch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def fetch(fetcher: Any, index: Any) -> Any:
            collate = fetcher.collate_fn
            if not isinstance(collate, _TimedCollate):
                fetcher.collate_fn = _TimedCollate(collate, self)
                with contextlib.suppress(Exception):
                    self._finder.search(fetcher.dataset)
            self._collate_ns = self._collate_cpu_ns = 0
            self._batches += 1
            self.reads_cpu = reads = self._last_ns > SHORT_NS or self._batches % CPU_EVERY == 1
            self._timer.begin(self._loader)
            self._items.begin(self._loader, index)
            self._context, self._opens.counting = self._fetching, True
            cpu = time.thread_time_ns() if reads else 0
            start = time.perf_counter_ns()
            try:
                batch = original(fetcher, index)
            finally:
                self._last_ns = wall = time.perf_counter_ns() - start
                self._context, self._opens.counting = -1, False
                self._timer.pause()
            cpu = time.thread_time_ns() - cpu if reads else NOT_READ
            self._add(batch, start, wall, cpu, len(index) if isinstance(index, (list, tuple)) else 1)
            return batch

        return fetch

    def _add(self, batch: Any, start: int, wall: int, cpu: int, size: int) -> None:
        try:
            if self._log.add(batch, start, wall, cpu, self._collate_ns, self._collate_cpu_ns, size):
                self._journal.write(*self._log.take())
                self._log.thin()
        except Exception as error:
            self._journal.fault = self._journal.fault or str(error)

    def _write_early(self) -> None:
        """Called after each hand-over, by the queue's thread: a worker may be ended within its first second."""
        now_s = time.monotonic()
        if now_s - self._began_s < EARLY_S and now_s - self._written_s > EARLY_PERIOD_S:
            self._written_s = now_s
            self._journal.write(*self._log.take(), *self._timer.take(), *self._items.take())

    def _flush(self) -> None:
        """Called by the background thread."""
        self._opens.leave_out_this_thread()
        self._journal.write(*self._log.take(), *self._sampler.take())
        now_s = time.monotonic()
        if now_s >= self._next_reading_s:
            self._next_reading_s = now_s + max(1.0, READING_SHARE * (now_s - self._began_s))
            self._journal.write(*self._timer.take(), *self._items.take(), self._meter.read())

    def _end(self) -> None:
        """Called when an error is sent home, and when the process ends: before its queue's thread does, and after."""
        with contextlib.suppress(Exception):
            self._journal.write(*self._log.take(), *self._sampler.take())
            self._journal.write(*self._timer.take(), *self._items.take(), self._meter.read())

    def collating(self, items: Any) -> tuple[int, int]:
        """A collate call begins; returns what `collated` takes."""
        if self._items.looking:
            self._items.made(items)
        before, self._context = self._context, self._collating
        return before, self._timer.pause()

    def collated(self, before: tuple[int, int], elapsed_ns: int, cpu_ns: int) -> None:
        """A collate call has ended."""
        self._collate_ns += elapsed_ns
        self._collate_cpu_ns += cpu_ns
        self._context, thread = before
        self._timer.resume(thread)


class _TimedCollate:
    """The user's collate function, timed."""

    def __init__(self, original: Callable[..., Any], recorder: WorkerRecorder) -> None:
        self._original = original
        self._recorder = recorder

    def __call__(self, items: Any) -> Any:
        before = self._recorder.collating(items)
        reads = self._recorder.reads_cpu
        cpu = time.thread_time_ns() if reads else 0
        start = time.perf_counter_ns()
        try:
            return self._original(items)
        finally:
            wall = time.perf_counter_ns() - start
            self._recorder.collated(before, wall, time.thread_time_ns() - cpu if reads else 0)

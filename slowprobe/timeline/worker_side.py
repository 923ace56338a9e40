"""How a loader's batches were made: transforms, hand-over, workers one by one, start-up, head-of-line waiting."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slowprobe.run.record import Site

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _floats() -> Floats:
    return np.empty(0)


def _ints() -> Ints:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class TransformTime:
    """One transform (a class or a function) of a loader's dataset, over the run, all workers together."""

    name: str
    """The class's or the function's ``__qualname__``."""
    where: Site | None
    """Where it is defined; None for code that has no Python source."""
    calls: int
    wall_s: float
    """Seconds in it, without those of transforms it calls."""
    cpu_s: float | None
    """CPU seconds of the same, extrapolated from every sixteenth batch; None when none of those was recorded."""
    share: float
    """wall_s over the seconds in which batches were made (fetch and collate)."""


@dataclass(frozen=True)
class WorkerFacts:
    """One worker process. Counters run from when it began to record, before its first batch, to the last reading."""

    pid: int
    worker: int
    """Its number among the loader's workers."""
    start: int
    """Which start of workers it belongs to, from 0; with persistent workers there is only one."""
    batches: int
    """Batches made (scaled up where recording was thinned)."""
    items: int
    made_s: float
    """Seconds of making batches: fetch and collate."""
    busy_share: float
    """made_s over the time from its first batch's beginning to its last batch's end; NaN below two batches."""
    spawn_s: float
    """From the beginning of the iterator's start-up to the worker's first line of code."""
    first_fetch_s: float
    """From there to its first batch's beginning: the dataset's and the user's init; NaN when it made none."""
    cpu_s: float | None = None
    rss_bytes: int | None = None
    """Resident memory at the last reading; shared pages count in every worker."""
    pss_bytes: int | None = None
    """Proportional set size at its last reading: shared pages divided by their users."""
    uss_bytes: int | None = None
    """Memory that only this worker has, at its last reading; grows when it writes to (or only touches the reference
    counts of) what it shared with its parent."""
    growth_bytes: int | None = None
    """USS (RSS where USS is unknown) at the last reading less at the first one."""
    growth_bytes_s: float | None = None
    """The same as a slope over time, in bytes/s, by least squares; None below three readings."""
    rchar: int | None = None
    """Bytes asked for by read calls, from the page cache or not."""
    read_bytes: int | None = None
    """Bytes really fetched from storage."""
    read_calls: int | None = None
    voluntary_switches: int | None = None
    """Times it gave up the CPU to wait."""
    involuntary_switches: int | None = None
    """Times the CPU was taken from it: more processes than cores."""
    run_delay_ns: int | None = None
    """Nanoseconds in which its thread was ready to run and had no core."""
    native_threads: int | None = None
    """Threads of libraries, at the last reading."""
    native_cpu_ns: int | None = None
    """Their CPU time."""
    opens: int | None = None
    """Files opened by Python code while batches were fetched."""


@dataclass(frozen=True)
class BatchMaking:
    """How one loader's batches were made. Seconds are totals over the run, all workers together, unless said otherwise.

    None (or an empty array or tuple): not recorded, or not to be seen this way.
    """

    worker: Ints = field(default_factory=_ints)
    """Of each recorded batch (aligned with `LoaderFacts.fetch`): the number of the worker that made it. Empty for
    num_workers=0."""
    number: Ints = field(default_factory=_ints)
    """The same: how many batches its worker process had made before it. Gaps where recording was thinned."""
    index: Ints = field(default_factory=_ints)
    """The same: its place in the pass over the loader, from 0; −1 unknown."""
    digest: Ints = field(default_factory=_ints)
    """The same: a digest of what is in it, for the first batches of each worker process; 0 or below: none."""
    start_s: Floats = field(default_factory=_floats)
    """The same: when the worker began it, in seconds since the start of the run."""
    end_s: Floats = field(default_factory=_floats)
    """The same: when it was made (before its hand-over). Idle time of a worker lies between an end and a next start."""
    fetch_cpu: Floats = field(default_factory=_floats)
    """The same: CPU seconds of the worker's thread in the dataset; NaN where it was not read (short batches)."""
    fetch_cpu_share: float | None = None
    """CPU over wall time in the dataset: items and transforms."""
    collate_cpu_share: float | None = None
    io_wait_s: float | None = None
    """Wall less CPU time in the dataset: waiting for storage, network, sleep, locks, or for a core. For num_workers=0
    by the CPU share of some batches, collate included."""
    transforms: tuple[TransformTime, ...] = ()
    """The transforms found in the dataset, most seconds first. Plain functions are timed in workers only."""
    transform_s: float | None = None
    """Seconds in all of them."""
    hand_over: Floats = field(default_factory=_floats)
    """Of each recorded batch: seconds of pickling it in the worker, copies to shared memory included; it happens on a
    thread of its own, beside making the next one. NaN where unknown (aligned with `LoaderFacts.fetch`)."""
    hand_over_s: float | None = None
    payload_bytes: float | None = None
    """Mean size of a pickled batch: what goes through the pipe. Tensors are not in it: they go by shared memory."""
    batch_bytes: float | None = None
    """Mean bytes of the tensors in a batch; None when it held none that was read."""
    batch_tensors: float | None = None
    """Mean number of tensors in a batch; read in workers only."""
    workers: tuple[WorkerFacts, ...] = ()
    """Every worker process that recorded itself, by start and number."""
    startup: Floats = field(default_factory=_floats)
    """For each start of workers: seconds until the last of them began its first batch."""
    startup_s: float | None = None
    """Their sum."""
    head_of_line_s: float | None = None
    """Seconds that the loop waited for a batch although a later one was made already. None for num_workers=0, one
    worker, ``in_order=False``, or where no pass was recorded whole."""
    opens_per_item: float | None = None
    """Files that Python code opened, an item (what C++ code opens is not seen). None for num_workers=0."""
    open_sites: tuple[tuple[Site, float], ...] = ()
    """The user's lines that opened them, with their shares, from a sample of the calls."""
    rchar_per_batch: float | None = None
    read_bytes_per_batch: float | None = None
    read_calls_per_item: float | None = None
    """Calls of the system that read, an item: a file that is opened takes two and more."""
    items_per_batch: float | None = None
    in_order: bool = True
    pin_thread: bool | None = None
    """Whether a thread of the main process pins batches (``pin_memory`` and a device is there)."""
    pin_memory: bool = False
    timeout_s: float = 0.0
    """The loader's timeout; 0 is none."""
    context: str | None = None
    """How workers are really started: fork, spawn or forkserver."""

    @property
    def run_delay_s(self) -> float | None:
        """Seconds in which workers were ready to run and had no core, all together; None where one did not count."""
        counted = [worker.run_delay_ns for worker in self.workers]
        return sum(ns or 0 for ns in counted) / 1e9 if counted and None not in counted else None

    @property
    def imbalance(self) -> float | None:
        """The busiest worker's making seconds over the mean of all, by worker number over the run; 1 is even."""
        sums: dict[int, float] = {}
        for worker in self.workers:
            sums[worker.worker] = sums.get(worker.worker, 0.0) + worker.made_s
        total = sum(sums.values())
        return max(sums.values()) * len(sums) / total if len(sums) > 1 and total > 0 else None

    @property
    def busy_share(self) -> float | None:
        """Mean busy share of the workers, weighted by the time each was seen; 1: the loader is their limit."""
        seen = [worker for worker in self.workers if worker.busy_share > 0]
        spans = sum(worker.made_s / worker.busy_share for worker in seen)
        return sum(worker.made_s for worker in seen) / spans if spans else None

    @property
    def growth_bytes_s(self) -> float | None:
        """Memory growth of all workers of one start, in bytes/s: the greatest of the starts."""
        sums: dict[int, float] = {}
        for worker in self.workers:
            if worker.growth_bytes_s is not None:
                sums[worker.start] = sums.get(worker.start, 0.0) + worker.growth_bytes_s
        return max(sums.values()) if sums else None

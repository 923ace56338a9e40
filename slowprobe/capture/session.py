"""One recording of one process: attaches the probes, keeps the background thread, and takes everything off again."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from slowprobe.capture.item_digests import chosen_items
from slowprobe.capture.kernel_trials import MIN_SHARE as MIN_KERNELS_SHARE
from slowprobe.capture.loader_cpu import LoaderCpuMeter
from slowprobe.capture.loop_events import LoopEvents
from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.calls import CallProbe
from slowprobe.capture.probes.interpreter import GcProbe
from slowprobe.capture.probes.processes import ProcessProbe
from slowprobe.capture.probes.requests import Requests
from slowprobe.capture.probes.watched import Watched
from slowprobe.capture.pulse import Pulse
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.sites import Sites
from slowprobe.capture.span_key import span_key
from slowprobe.capture.subjects import Subjects
from slowprobe.capture.torch_import import call_when_imported
from slowprobe.capture.torch_probes import TorchProbes, give_way_to_other_profilers
from slowprobe.capture.upkeep import Upkeep
from slowprobe.capture.window import WindowProbe
from slowprobe.capture.worker import WorkerEntry
from slowprobe.run.schema import Calibration, End, Note
from slowprobe.run.writer import JOURNAL, TRACES, WORKERS, JournalWriter

MAX_WORKER_FILES = 300
MAX_WORKER_BYTES = 12_000_000
MAX_WATCHED = 100
T = TypeVar("T")

active: Session | None = None
"""The session that records this process now."""


@dataclass(frozen=True)
class Options:
    """What to record: `steps` training steps (None: all), with profiler windows or without."""

    steps: int | None = None
    trace: bool = True


class Session:
    """Records the calling thread from `start` to `stop`. Never raises into the training."""

    def __init__(self, folder: Path, origin_ns: int, options: Options) -> None:
        self.folder = folder
        self._origin_ns = origin_ns
        self._options = options
        self._journal = JournalWriter(folder / JOURNAL)
        self._sites = Sites()
        self.recorder = Recorder(origin_ns=origin_ns)
        self._subjects = Subjects(self._journal.write, self._sites)
        self._events = LoopEvents(self.recorder, self._journal.write, self._guard, options.steps, self._end_early)
        self._loader_cpu = LoaderCpuMeter()
        self._requests = Requests(self.recorder, self._loader_cpu, self._events)
        self._upkeep = Upkeep(self.recorder, self._journal, self._subjects, self._loader_cpu, self.note)
        self._pulse = Pulse(self._upkeep.sample, self._flush, self._on_fault)
        self._patches = Patches()
        self._probes: list[Any] = []
        self._calls: CallProbe | None = None
        self._torch: TorchProbes | None = None
        self._window: WindowProbe | None = None
        self._torch_compiling: Callable[[], bool] = lambda: False
        self._stop_import_hook: Callable[[], None] = lambda: None
        self._worker_files = 0
        self._watched: dict[int, Any] = {}
        self._running = False

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to record; the torch probes attach now, or when the user imports torch."""
        global active
        active = self
        self._running = True
        self._attached_ns = time.perf_counter_ns() - self._origin_ns
        self._upkeep.turn_taking.start()
        _stop_in_forked_children(self)
        self._pulse.start()
        self._guard("interpreter", self._attach_interpreter)
        self._stop_import_hook = call_when_imported("torch", self._on_torch)

    def stop(self, exception: str | None = None) -> None:
        """Detach everything and write the rest. Safe to call twice."""
        global active
        if not self._running or os.getpid() != self.recorder.pid:
            return
        self._running = False
        if active is self:
            active = None
        ended_ns = time.perf_counter_ns() - self._origin_ns
        self._guard("import hook", self._stop_import_hook)
        if self._window is not None:
            self._guard("window", self._window.abandon)
        self.recorder.close_all()
        self.recorder.disable()
        self._pulse.stop()  # first: it wraps what is imported later
        self._guard("detach", self._detach)
        self._upkeep.turn_taking.restore()
        self._upkeep.blas.end()
        self._guard("flush", lambda: self._flush(ended_ns))
        detached_ns = time.perf_counter_ns() - self._origin_ns
        self._guard("costs", lambda: self._write_costs(detached_ns - ended_ns))
        self._guard("compilations", self._write_compilations)
        self._guard("calibration", lambda: self._calibrate(ended_ns))
        self._guard("calibration of products", lambda: self._try_kernels(ended_ns))
        self._guard("calibration of operators", lambda: self._try_operators(ended_ns))
        detached_ns = time.perf_counter_ns() - self._origin_ns
        self._journal.write(End(at_ns=ended_ns, detached_ns=detached_ns, exception=exception), vital=True)
        self._journal.close()

    def disable(self) -> None:
        """Record nothing more, without touching the disk: this is a forked child."""
        global active
        if active is self:
            active = None  # the child may record itself
        self.recorder.disable()
        self._running = False
        self._journal.fault = "forked"

    def note(self, topic: str, text: str, level: Any = "info") -> None:
        """Leave a note for the reader of the report."""
        at_ns = time.perf_counter_ns() - self._origin_ns
        self._journal.write(Note(at_ns=at_ns, level=level, topic=topic, text=text), vital=True)

    def watch(self, batches: Iterable[T], name: str) -> Iterator[T]:
        """`batches`, recorded as a loader; the same object is the same loader every time."""
        key = id(batches)
        self._watched.setdefault(key, batches)  # kept alive: an address must not be used again
        if len(self._watched) > MAX_WATCHED:
            return iter(batches)
        subject = self._subjects.number("data_wait", ("watch", key), name, lambda: {"watch": True}, depth=2)
        return Watched(batches, self._requests, subject)

    def _end_early(self) -> None:
        self.note("steps", f"recording stopped after {self._options.steps} steps, as asked")
        self.stop()

    # -- probes -------------------------------------------------------------------------------------------------

    def _attach_interpreter(self) -> None:
        self._calls = CallProbe(self.recorder, self._subjects, lambda: self._torch_compiling())
        self._add(GcProbe(self.recorder, self._subjects))
        self._add(self._calls)

    def _on_torch(self) -> None:
        self._guard("torch", self._attach_torch)

    def _attach_torch(self) -> None:
        import torch

        recorder, here = self.recorder, self.recorder.here()  # another thread may have imported torch
        own = self._subjects.number("slowprobe", "slowprobe", "slowprobe")
        if here:
            recorder.open(span_key(KIND["slowprobe"], own))
        self._torch_compiling = torch.compiler.is_compiling
        if self._options.trace:
            window = WindowProbe(recorder, self.folder / TRACES, own, self._sites, self._journal.write)
            self._window = self._events.window = window
            self._guard("profiler", lambda: give_way_to_other_profilers(self._patches, window))
        self._torch = TorchProbes(
            recorder,
            self._subjects,
            self._events,
            self._requests,
            self._enter_worker,
            self._add,
            self._adopt,
            self._journal.write,
        )
        self._add(ProcessProbe(self._sites, self.note))
        if self._calls is not None:
            self._calls.catch_up()
        if here:
            recorder.close(span_key(KIND["slowprobe"], own))

    def _adopt(self) -> bool:
        """Follow training to another thread, when it begins there."""
        recorder = self.recorder
        busy = self._events.backwards or recorder.inside(KIND["backward"])  # a checkpoint's, on a thread of autograd
        if busy or not recorder.enabled or os.getpid() != recorder.pid:
            return False
        name = threading.current_thread().name
        recorder.adopt()
        self._upkeep.sampler.follow(recorder.thread)
        self.note("thread", f"Training runs on thread {name!r}, which is recorded from its first backward pass on.")
        return True

    def _add(self, probe: Any) -> None:
        name = type(probe).__name__
        if self._guard(name, lambda: probe.attach(self._patches)):
            self._probes.append(probe)

    def _detach(self) -> None:
        for probe in reversed(self._probes):
            if hasattr(probe, "detach"):
                self._guard(type(probe).__name__, probe.detach)
        self._patches.undo()

    def _enter_worker(self, loader: Any, subject: int) -> WorkerEntry | None:
        if self._torch is not None:
            self._torch.forward.learn()
            self._events.listening = True
        self._worker_files += loader.num_workers
        if self._worker_files > MAX_WORKER_FILES:
            return None
        folder = self.folder / WORKERS
        room = MAX_WORKER_BYTES - sum(file.stat().st_size for file in folder.iterdir())
        share = max(0, room) // (2 * loader.num_workers)  # half: for this pass; the rest is for loaders still to come
        init, items = loader.worker_init_fn, chosen_items(loader)
        return WorkerEntry(init, str(folder), subject, loader.num_workers, self._origin_ns, share, items)

    # -- background thread, and after the end ---------------------------------------------------------------------

    def _flush(self, final_ns: int | None = None) -> None:
        if self._window is not None:
            self._window.compress()
        self._upkeep.flush(final_ns)
        if self._calls is not None and final_ns is None and self._running:
            self._calls.catch_up()

    def _write_costs(self, detach_ns: int) -> None:
        from slowprobe.capture.cost import measure_costs

        samples, cpu_ns = self._upkeep.sampler.taken, self._pulse.cpu_ns
        costs = measure_costs(
            self._torch_compiling, self.recorder.closed, samples, cpu_ns, self._attached_ns, detach_ns
        )
        self._journal.write(costs, vital=True)

    def _write_compilations(self) -> None:
        from slowprobe.capture.compilations import read_compilations

        found = read_compilations()
        if found is not None:
            self._journal.write(found, vital=True)

    def _calibrate(self, elapsed_ns: int) -> None:
        if self._torch is None or not self._events.trained or self._journal.fault is not None:
            return  # torch is not there, or nothing was trained
        upkeep = self._upkeep
        values = self._torch.try_blas(upkeep.blas)
        values |= self._torch.calibrate(self._loader_cpu, upkeep.totals.run_ns, upkeep.faults, elapsed_ns)
        if values:
            self._journal.write(Calibration(values=values), vital=True)

    def _try_kernels(self, elapsed_ns: int) -> None:
        window = self._window
        if window is None or window.kernels is None or self._torch is None or self._journal.fault is not None:
            return
        if window.kernels_share < MIN_KERNELS_SHARE or self._torch.on_device():
            return
        values = self._torch.try_kernels(window.kernels, elapsed_ns)
        if values:
            self._journal.write(Calibration(values=values), vital=True)

    def _try_operators(self, elapsed_ns: int) -> None:
        window = self._window
        if window is None or not window.operators or self._torch is None or self._journal.fault is not None:
            return
        if self._torch.on_device() or not self._events.trained:
            return
        values = self._torch.try_operators(window.operators, self._loader_cpu.padded, elapsed_ns)
        values |= self._torch.try_made(window.made) | self._torch.try_gathers(window.gathers, window.operators)
        if values:
            self._journal.write(Calibration(values=values), vital=True)

    def _on_fault(self, topic: str, error: BaseException) -> None:
        self.note(topic, f"{topic} stopped: {type(error).__name__}: {error}", "error")
        if topic == "flush":
            self.recorder.disable()  # nobody takes the spans any more

    def _guard(self, topic: str, work: Callable[[], Any]) -> bool:
        try:
            work()
        except Exception as error:
            self.note(topic, f"{topic} could not be recorded: {type(error).__name__}: {error}", "error")
            return False
        return True


def _stop_in_forked_children(session: Session) -> None:
    reference = weakref.ref(session)

    def disable() -> None:
        recorded = reference()
        if recorded is not None:
            recorded.disable()

    os.register_at_fork(after_in_child=disable)

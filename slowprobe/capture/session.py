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

from slowprobe.capture.loader_cpu import LoaderCpuMeter
from slowprobe.capture.machine import ResourceMeter, read_state, usable_cores
from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.autograd import BackwardProbe
from slowprobe.capture.probes.calls import CallProbe
from slowprobe.capture.probes.interpreter import CompileProbe, GcProbe
from slowprobe.capture.probes.loader import LoaderProbe
from slowprobe.capture.probes.module import ForwardProbe
from slowprobe.capture.probes.optimizer import OptimizerProbe
from slowprobe.capture.probes.requests import Requests
from slowprobe.capture.probes.watched import Watched
from slowprobe.capture.pulse import Pulse
from slowprobe.capture.recorder import KIND, SUBJECT_BITS, Recorder
from slowprobe.capture.sampler import StackSampler
from slowprobe.capture.sites import Sites
from slowprobe.capture.sources import Sources
from slowprobe.capture.subjects import Subjects
from slowprobe.capture.torch_import import call_when_imported
from slowprobe.capture.totals import Totals
from slowprobe.capture.turn_taking import TurnTaking
from slowprobe.capture.turns import Turns
from slowprobe.capture.window import WindowProbe
from slowprobe.capture.worker import WorkerEntry
from slowprobe.run.schema import Calibration, End, Note
from slowprobe.run.writer import JOURNAL, TRACES, WORKERS, JournalWriter

MAX_WORKER_FILES = 300
MAX_WORKER_BYTES = 12_000_000
MAX_WATCHED = 100
T = TypeVar("T")
_STATE_TURNS = 2  # settings are read once the loop runs; scripts set them on the way there

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
        self._sources = Sources(self._journal.write, self._sites)
        self._totals = Totals(0)
        self._sampler = StackSampler(threading.get_ident(), origin_ns, self._context)
        self._meter = ResourceMeter(origin_ns)
        self._loader_cpu = LoaderCpuMeter()
        self._requests = Requests(self.recorder, self._loader_cpu, self._on_request)
        self._pulse = Pulse(self._sample, self._flush, self._on_fault)
        self._patches = Patches()
        self._probes: list[Any] = []
        self._calls: CallProbe | None = None
        self._forward: ForwardProbe | None = None
        self._window: WindowProbe | None = None
        self._loaders: LoaderProbe | None = None
        self._optimizers: OptimizerProbe | None = None
        self._turns = Turns(self._on_turn)
        self._stop_import_hook: Callable[[], None] = lambda: None
        self._next_chunk_ns = 0
        self._noted_fault: str | None = None
        self._worker_files = 0
        self._turn_taking = TurnTaking()
        self._watched: dict[int, Any] = {}
        self._running = False
        self._torch_compiling: Callable[[], bool] = lambda: False

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to record; the torch probes attach now, or when the user imports torch."""
        global active
        active = self
        self._running = True
        self._attached_ns = time.perf_counter_ns() - self._origin_ns
        self._turn_taking.start()
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
        self.recorder.enabled = False
        self._pulse.stop()  # first: it wraps what is imported later
        self._guard("detach", self._detach)
        self._turn_taking.restore()
        self._guard("flush", lambda: self._flush(final_ns=ended_ns))
        detached_ns = time.perf_counter_ns() - self._origin_ns
        self._write_costs(detached_ns - ended_ns)
        self._guard("calibration", lambda: self._calibrate(ended_ns))
        detached_ns = time.perf_counter_ns() - self._origin_ns
        self._journal.write(End(at_ns=ended_ns, detached_ns=detached_ns, exception=exception), vital=True)
        self._journal.close()

    def disable(self) -> None:
        """Record nothing more, without touching the disk: this is a forked child."""
        self.recorder.enabled = False
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

    # -- probes -------------------------------------------------------------------------------------------------

    def _attach_interpreter(self) -> None:
        self._calls = CallProbe(self.recorder, self._subjects, self._is_compiling)
        self._add(GcProbe(self.recorder, self._subjects))
        self._add(self._calls)

    def _on_torch(self) -> None:
        self._guard("torch", self._attach_torch)

    def _attach_torch(self) -> None:
        import torch

        recorder, subjects = self.recorder, self._subjects
        if recorder.thread != threading.get_ident():
            return  # torch was imported by another thread; its loop is not ours to record
        own = subjects.number("slowprobe", "slowprobe", "slowprobe")
        recorder.open(KIND["slowprobe"], own)
        is_compiling = self._torch_compiling = torch.compiler.is_compiling
        self._forward = ForwardProbe(recorder, subjects, is_compiling)
        if self._options.trace:
            self._window = WindowProbe(recorder, self.folder / TRACES, own, self._sites, self._journal.write)
            self._guard("profiler", lambda: self._give_way_to_other_profilers(torch))
        self._loaders = LoaderProbe(self._requests, subjects, self._enter_worker)
        self._add(self._loaders)
        self._optimizers = OptimizerProbe(recorder, subjects, is_compiling, self._on_step)
        self._add(self._optimizers)
        self._add(BackwardProbe(recorder, subjects, is_compiling, self._on_backward))
        self._add(self._forward)
        self._add(CompileProbe(recorder, subjects, self._forward))
        if self._calls is not None:
            self._calls.catch_up()
        recorder.close(KIND["slowprobe"])

    def _add(self, probe: Any) -> None:
        name = type(probe).__name__
        if self._guard(name, lambda: probe.attach(self._patches)):
            self._probes.append(probe)

    def _detach(self) -> None:
        for probe in reversed(self._probes):
            if hasattr(probe, "detach"):
                self._guard(type(probe).__name__, probe.detach)
        self._patches.undo()

    def _give_way_to_other_profilers(self, torch: Any) -> None:
        window = self._window
        assert window is not None

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def _prepare_trace(profile: Any) -> Any:
                if window.is_open and not window.starting:
                    window.abandon("the script started a profiler of its own, so slowprobe's window was dropped")
                return original(profile)

            return _prepare_trace

        self._patches.replace(torch.autograd.profiler.profile, "_prepare_trace", make)

    def _is_compiling(self) -> bool:
        return self._torch_compiling()

    # -- events -------------------------------------------------------------------------------------------------

    def _on_request(self, loader: int) -> None:
        try:
            if self._forward is not None:
                self._forward.on_request()
            self._turns.request(loader)
        except Exception as error:
            self.recorder.fail(error)

    def _on_step(self, optimizer: int) -> None:
        try:
            if not self._turns.has_loader and self._forward is not None:
                self._forward.on_request()
            self._turns.step(optimizer)
        except Exception as error:
            self.recorder.fail(error)

    def _on_backward(self) -> None:
        try:
            self._turns.backward()
        except Exception as error:
            self.recorder.fail(error)

    def _on_turn(self) -> None:
        if self._turns.count == self._turns.first_count + _STATE_TURNS:
            self._guard("state", lambda: self._journal.write(read_state(self._origin_ns)))
        if self.recorder.stack:
            return  # a closure inside optimizer.step: not between two steps
        if self.recorder.crowded:
            self.recorder.fail(MemoryError("the disk is too slow for what is recorded"))
        if self._options.steps is not None and self._turns.count >= self._options.steps:
            self.note("steps", f"recording stopped after {self._options.steps} steps, as asked")
            self.stop()
        elif self._window is not None:
            self._window.turn()

    def _enter_worker(self, loader: Any, subject: int) -> WorkerEntry | None:
        if self._forward is not None:
            self._forward.learn()
        self._worker_files += loader.num_workers
        if self._worker_files > MAX_WORKER_FILES:
            return None
        folder = self.folder / WORKERS
        room = MAX_WORKER_BYTES - sum(file.stat().st_size for file in folder.iterdir())
        share = max(0, room) // (2 * loader.num_workers)  # half: for this pass; the rest is for loaders still to come
        return WorkerEntry(loader.worker_init_fn, str(folder), subject, loader.num_workers, self._origin_ns, share)

    # -- background thread ----------------------------------------------------------------------------------------

    def _context(self) -> tuple[int, bool]:
        stack = self.recorder.stack
        try:
            return stack[-1][0], True
        except IndexError:
            return self.recorder.last_root_key, False

    def _sample(self) -> None:
        self._sampler.sample()
        self._turn_taking.adapt(self._sampler.contended)

    def _flush(self, final_ns: int | None = None) -> None:
        recorder = self.recorder
        now_ns = time.perf_counter_ns() - self._origin_ns if final_ns is None else final_ns
        self._journal.write(*self._totals.add(recorder.take()))
        if self._window is not None:
            self._window.compress()
        self._sources.add(self._sampler.new_files, self._subjects.named_files)
        if final_ns is not None or now_ns >= self._next_chunk_ns:
            self._next_chunk_ns = now_ns + int(Totals.chunk_seconds(now_ns / 1e9) * 1e9)
            chunk = self._totals.chunk(now_ns, recorder.open_rows(), final=final_ns is not None)
            rest = (*self._sampler.take(), *self._loader_cpu.take(), self._meter.read())
            self._journal.write(*chunk, *rest, vital=final_ns is not None)
        if self._calls is not None and final_ns is None and self._running:
            self._calls.catch_up()
        if recorder.fault is not None and recorder.fault != self._noted_fault:
            self._noted_fault = recorder.fault
            self.note("recorder", f"recording stopped early: {recorder.fault}", "error")

    def _write_costs(self, detach_ns: int) -> None:
        from slowprobe.capture.cost import measure_costs

        self._guard(
            "costs",
            lambda: self._journal.write(
                measure_costs(
                    self.recorder.closed, self._sampler.taken, self._pulse.cpu_ns, self._attached_ns, detach_ns
                ),
                vital=True,
            ),
        )

    def _calibrate(self, elapsed_ns: int) -> None:
        if self._optimizers is None or not self._turns.count or self._journal.fault is not None:
            return  # torch is not there, or nothing was trained
        import torch

        from slowprobe.capture.calibration import calibrate

        optimizer = KIND["optimizer"] << SUBJECT_BITS
        shares = {
            subject: (dict(described), self._totals.run_ns.get(optimizer | subject, 0) / elapsed_ns)
            for subject, described in self._optimizers.described().items()
        }
        waiting = KIND["data_wait"] << SUBJECT_BITS
        loaders = {
            subject: (tensors, self._totals.run_ns.get(waiting | subject, 0) / elapsed_ns)
            for subject, tensors in self._loader_cpu.tensors.items()
            if self._loaders is not None and subject in self._loaders.without_workers
        }
        values = calibrate(shares, loaders, torch.get_num_threads(), usable_cores())
        if values:
            self._journal.write(Calibration(values=values), vital=True)

    def _on_fault(self, topic: str, error: BaseException) -> None:
        self.note(topic, f"{topic} stopped: {type(error).__name__}: {error}", "error")
        if topic == "flush":
            self.recorder.enabled = False  # nobody takes the spans any more

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

"""The probes that look into torch: attached together once the script has imported it, and what they know at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from slowprobe.capture import kernel_trials, operator_trials
from slowprobe.capture.batch_trials import try_batch
from slowprobe.capture.blas_trials import BlasWatch
from slowprobe.capture.calibration import budget_s, calibrate
from slowprobe.capture.gather_trials import Gather, try_gathers
from slowprobe.capture.gradient_use import GradientWatch
from slowprobe.capture.kernel_shapes import KernelTimes
from slowprobe.capture.loader_cpu import LoaderCpuMeter
from slowprobe.capture.loop_events import LoopEvents
from slowprobe.capture.machine import bfloat16_instructions, usable_cores
from slowprobe.capture.made_trials import try_made
from slowprobe.capture.patches import Patches
from slowprobe.capture.pauses import try_pauses
from slowprobe.capture.probes.autograd import BackwardProbe
from slowprobe.capture.probes.interpreter import CompileProbe
from slowprobe.capture.probes.loader import LoaderProbe
from slowprobe.capture.probes.module import ForwardProbe
from slowprobe.capture.probes.optimizer import OptimizerProbe
from slowprobe.capture.probes.requests import Requests
from slowprobe.capture.read_trial import try_reading
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.replicas import ReplicaWatch
from slowprobe.capture.span_key import span_key, split_key, subject_of
from slowprobe.capture.step_operators import Operator
from slowprobe.capture.subjects import Subjects
from slowprobe.capture.subnormals import SubnormalWatch
from slowprobe.capture.window import WindowProbe
from slowprobe.capture.worker import WorkerEntry
from slowprobe.run.schema import SpanKind

MIN_MAKING = 0.1  # of the run; a loop that waits less for batches hardly gains by cheaper ones
BATCHES_S, READING_S, PAUSES_S = 0.06, 0.02, 0.15  # for batches of all loaders, a file in memory, steps after pauses
STEP_KINDS: tuple[SpanKind, ...] = ("forward", "backward", "optimizer")
MIN_TOUCHED_HZ = 5000  # page faults a second of these: less are under 5 % of it even if each takes 10 µs
SUBNORMALS_S = 0.1  # for stepping what holds subnormal numbers again; most runs hold none


class TorchProbes:
    """Makes the probes and hands each to `add`, which attaches it and survives its faults."""

    def __init__(
        self,
        recorder: Recorder,
        subjects: Subjects,
        events: LoopEvents,
        requests: Requests,
        enter_worker: Callable[[Any, int], WorkerEntry | None],
        add: Callable[[Any], None],
        adopt: Callable[[], bool],
        write: Callable[[Any], None],
    ) -> None:
        import torch

        self._events = events
        is_compiling = torch.compiler.is_compiling
        self._beside_blas = False
        self.forward = events.forward = ForwardProbe(recorder, subjects, is_compiling)
        self.forward.look = lambda model, inputs: not events.has_loader and requests.meter.inputs(model, inputs)
        self.forward.listen = partial(setattr, events, "listening", True)
        self.loaders = LoaderProbe(requests, subjects, enter_worker, requests.meter.transforms)
        self.optimizers = OptimizerProbe(recorder, subjects, is_compiling, events)
        own = span_key(KIND["slowprobe"], subjects.number("slowprobe", "slowprobe", "slowprobe"))
        watch = GradientWatch(recorder, own, write, self.forward.models, self.optimizers.made.keys)
        self.optimizers.watch = events.watch = watch
        self.subnormals = self.optimizers.subnormals = SubnormalWatch(recorder, own)
        add(self.loaders)
        add(self.optimizers)
        replicas = ReplicaWatch(recorder, subjects, write)
        add(replicas)
        add(BackwardProbe(recorder, subjects, is_compiling, events.backward, adopt, watch, replicas))
        add(self.forward)
        add(CompileProbe(recorder, subjects, self.forward))

    def calibrate(
        self, loader_cpu: LoaderCpuMeter, run_ns: dict[int, int], touched: Mapping[str, int], elapsed_ns: int
    ) -> dict[str, float]:
        """What the edits that this run may call for would cost on this machine.

        run_ns: time by span key. touched: page faults by kind of span."""
        import torch

        def share(kind: int, subject: int) -> float:
            return run_ns.get(span_key(kind, subject), 0) / elapsed_ns

        optimizers = {
            subject: (dict(described), share(KIND["optimizer"], subject))
            for subject, described in self.optimizers.described().items()
        }
        loaders = {
            subject: (tensors, share(KIND["data_wait"], subject))
            for subject, tensors in loader_cpu.tensors.items()
            if subject in self.loaders.without_workers
        }
        budget = budget_s(elapsed_ns / 1e9, self._events.ends_in_training)
        making = [subject for subject in loader_cpu.layouts if share(KIND["data_wait"], subject) >= MIN_MAKING]
        tried = self._try_input(loader_cpu, making, 0.5 if self._events.ends_in_training else 1.0)
        seen = self.subnormals.values(min(budget, SUBNORMALS_S))
        faults = {
            f"forward.{subject_of(key)}.page_faults": float(count)
            for key, count in self.forward.page_faults.items()
            if count
        }
        threads, cores = torch.get_num_threads(), usable_cores()
        pages, fresh = bool(faults), bool(faults) or (not self.on_device() and _touches_new_memory(run_ns, touched))
        measured = calibrate(optimizers, loaders, threads, cores, budget, pages, fresh, self._events.anomaly)
        return {**tried, **seen, **faults, **measured}

    def try_blas(self, watch: BlasWatch) -> dict[str, float]:
        """What NumPy's BLAS did beside training, and what its threads cost torch's."""
        import torch

        if self.on_device() or self._events.ends_in_training or not watch.began:
            return {}
        values = watch.values(torch)
        self._beside_blas = "blas.after_ms" in values
        return values

    def _try_input(self, loader_cpu: LoaderCpuMeter, making: list[int], part: float) -> dict[str, float]:
        """What the batches of these loaders would take in one piece, and what steps lose by pauses between them."""
        import torch

        values: dict[str, float] = {}
        for subject in making:
            until = time.perf_counter() + part * BATCHES_S / len(making)
            values.update(try_batch(torch, f"loader.{subject}", loader_cpu.layouts[subject], until))
        if making:
            values.update(try_reading(time.perf_counter() + part * READING_S))
        if not self.on_device():
            values.update(try_pauses(torch, time.perf_counter() + part * PAUSES_S))
        return values

    def on_device(self) -> bool:
        """Whether the run used an accelerator: then its kernels are not the CPU's."""
        import torch

        return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]

    def try_kernels(self, kernels: KernelTimes, elapsed_ns: int) -> dict[str, float]:
        """What the annotated step's products and convolutions would take alone and with other settings."""
        calls = [0] * len(kernels.distinct)
        for number in kernels.order:
            calls[number] += 1
        bf16 = bfloat16_instructions() is not None
        experiments = kernel_trials.trials(kernels.distinct, kernels.spent_ns, calls, bf16)
        budget = kernel_trials.budget_s(elapsed_ns / 1e9, self._events.ends_in_training)
        return kernel_trials.run_trials(experiments, budget)

    def try_operators(
        self, operators: list[Operator], padded: list[tuple[int, int]], elapsed_ns: int
    ) -> dict[str, float]:
        """What the annotated step's operators would take with other types, layouts, threads or fewer columns, or alone.

        Alone is what nothing else computes beside: workers and ranks of a training that goes on may."""
        import torch

        goes_on = self._events.ends_in_training
        budget = operator_trials.budget_s(elapsed_ns / 1e9, goes_on)
        shared = (self.loaders.with_workers or self._events.ranks > 1) and not goes_on
        return operator_trials.try_operators(
            operators, torch.get_num_threads(), usable_cores(), padded, budget, shared, self._beside_blas
        )

    def try_made(self, made: list[tuple[list[int], str]]) -> dict[str, float]:
        """What making such tensors of arrays takes, where those are stacked first."""
        import torch

        return try_made(torch, made)

    def try_gathers(self, found: list[Gather], operators: list[Operator]) -> dict[str, float]:
        """What picking along an inner dimension would take with that dimension first."""
        import torch

        return try_gathers(torch, found, sum(each.spent_ns for each in operators))


def _touches_new_memory(run_ns: Mapping[int, int], touched: Mapping[str, int]) -> bool:
    """Whether operators of steps touch new memory so often that its price is worth a trial."""
    kinds = {KIND[kind] for kind in STEP_KINDS}
    spent_ns = sum(spent for key, spent in run_ns.items() if split_key(key)[0] in kinds)
    return sum(touched.get(kind, 0) for kind in STEP_KINDS) > MIN_TOUCHED_HZ * spent_ns / 1e9


def give_way_to_other_profilers(patches: Patches, window: WindowProbe) -> None:
    """Close an open window when the script starts a profiler of its own: torch runs one at a time."""
    import torch

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _prepare_trace(profile: Any) -> Any:
            if window.is_open and not window.starting:
                window.abandon("the script started a profiler of its own, so slowprobe's window was dropped")
            return original(profile)

        return _prepare_trace

    patches.replace(torch.autograd.profiler.profile, "_prepare_trace", make)

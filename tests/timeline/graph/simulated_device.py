"""A host with one or two threads and a device with streams, simulated: programs become traces with known truth."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

LAUNCH_NS, LATENCY_NS, GAP_NS, RETURN_NS = 5_000, 8_000, 1_000, 3_000
MAIN, ENGINE = 10, 20


@dataclass(frozen=True)
class Python:
    ns: int


@dataclass(frozen=True)
class Operator:
    """Host work in an operator that launches nothing."""

    ns: int


@dataclass(frozen=True)
class Launch:
    ns: int
    stream: int = 7
    name: str = "sm80_gemm"
    cat: str = "kernel"


@dataclass(frozen=True)
class CopyBack:
    """`.item()`: a copy to pageable memory, then a synchronisation."""

    ns: int
    stream: int = 7


@dataclass(frozen=True)
class CopyIn:
    """From pageable memory: the call returns when the copy is done."""

    ns: int
    stream: int = 7


@dataclass(frozen=True)
class Synchronize:
    stream: int | None = None
    """None: the device."""


@dataclass(frozen=True)
class WaitFor:
    """The first stream waits until the second has done all that it was given."""

    waiter: int
    awaited: int
    ns: int = 1_000
    """Of each of the two calls."""


@dataclass(frozen=True)
class Backward:
    """What the autograd engine does on its own thread, while the main thread waits."""

    program: tuple[Any, ...]
    around: Operator = Operator(2_000)
    """What the engine itself does at both ends."""


@dataclass
class Machine:
    """Runs a program; `events` is its trace. `told`: the trace has rows about synchronisation."""

    told: bool = True
    now: int = 0
    thread: int = MAIN
    correlation: int = 0
    stream_end: dict[int, int] = field(default_factory=dict)
    not_before: dict[int, int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def run(self, program: tuple[Any, ...]) -> Machine:
        """Marked as one step of the main thread."""
        self._do(program)
        self.event("user_annotation", "ProfilerStep#0", 0, self.now)
        return self

    def _do(self, program: tuple[Any, ...]) -> None:
        for each in program:
            getattr(self, f"_{type(each).__name__.lower()}")(each)

    @property
    def total_ns(self) -> int:
        return max([self.now, *self.stream_end.values()])

    def event(self, cat: str, name: str, start: int, end: int, **args: Any) -> None:
        on_device = cat in ("kernel", "gpu_memcpy", "cuda_sync")
        place = {"pid": 0, "tid": args.get("stream", 0)} if on_device else {"pid": 1, "tid": self.thread}
        times = {"ts": start / 1000, "dur": (end - start) / 1000}
        self.events.append({"ph": "X", "cat": cat, "name": name, **place, **times, "args": args})

    def write(self, path: Path) -> Path:
        path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": self.events}))
        return path

    def call(self, name: str, until: int) -> int:
        self.correlation += 1
        self.event("cuda_runtime", name, self.now, until, correlation=self.correlation)
        self.now = until
        return self.correlation

    def _python(self, work: Python) -> None:
        self.now += work.ns

    def _operator(self, work: Operator) -> None:
        more = {"Sequence number": 3, "Fwd thread id": 1} if self.thread == ENGINE else {}
        self.event("cpu_op", "aten::mul", self.now, self.now + work.ns, **more)
        self.now += work.ns

    def _launch(self, work: Launch) -> None:
        start = self._place(work.stream, work.ns)
        correlation = self.call("cudaLaunchKernel", self.now + LAUNCH_NS)
        args = {"correlation": correlation, "stream": work.stream, "device": 0}
        self.event(work.cat, work.name, start, start + work.ns, **args)

    def _place(self, stream: int, ns: int) -> int:
        idle = self.stream_end.get(stream)
        start = max(self.now + LATENCY_NS, 0 if idle is None else idle + GAP_NS, self.not_before.pop(stream, 0))
        self.stream_end[stream] = start + ns
        return start

    def _copy(self, name: str, stream: int, ns: int) -> None:
        start = self._place(stream, ns)
        correlation = self.call("cudaMemcpyAsync", start + ns + RETURN_NS)
        self.event("gpu_memcpy", name, start, start + ns, correlation=correlation, stream=stream, device=0, bytes=4)

    def _copyback(self, work: CopyBack) -> None:
        self._copy("Memcpy DtoH (Device -> Pageable)", work.stream, work.ns)
        self.now += 500
        self._synchronize(Synchronize(work.stream))

    def _copyin(self, work: CopyIn) -> None:
        self._copy("Memcpy HtoD (Pageable -> Device)", work.stream, work.ns)

    def _synchronize(self, work: Synchronize) -> None:
        ends = self.stream_end.values() if work.stream is None else [self.stream_end.get(work.stream, 0)]
        over = max([0, *ends])
        until = max(self.now, over) + RETURN_NS
        name = "cudaDeviceSynchronize" if work.stream is None else "cudaStreamSynchronize"
        start = self.now
        correlation = self.call(name, until)
        if self.told:
            kind = "Context Sync" if work.stream is None else "Stream Sync"
            stream = -1 if work.stream is None else work.stream
            self.event("cuda_sync", kind, start, until, correlation=correlation, stream=stream, device=0)

    def _waitfor(self, work: WaitFor) -> None:
        record = self.call("cudaEventRecord", self.now + work.ns)
        start = self.now
        correlation = self.call("cudaStreamWaitEvent", self.now + work.ns)
        over = self.stream_end.get(work.awaited, 0)
        self.not_before[work.waiter] = max(self.not_before.get(work.waiter, 0), over)
        if self.told:
            about = {"wait_on_stream": work.awaited, "wait_on_cuda_event_record_corr_id": record, "device": 0}
            more = {"correlation": correlation, "stream": work.waiter, **about}
            self.event("cuda_sync", "Stream Wait Event", start, self.now, **more)

    def _backward(self, work: Backward) -> None:
        self.thread = ENGINE
        self._operator(work.around)
        self._do(work.program)
        self._operator(work.around)
        self.thread = MAIN


def changed(program: tuple[Any, ...], kinds: tuple[type, ...], times: float) -> tuple[Any, ...]:
    """The program with the work of some kinds so many times as fast."""

    def change(each: Any) -> Any:
        if isinstance(each, Backward):
            return Backward(changed(each.program, kinds, times), change(each.around))
        return replace(each, ns=round(each.ns / times)) if isinstance(each, kinds) else each

    return tuple(change(each) for each in program)

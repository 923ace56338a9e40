"""Traces made by hand: a host that launches, a device with streams, and the JSON that torch.profiler would write of it.

    trace = SyntheticTrace(tmp_path)
    for _ in range(5):
        with trace.step():
            trace.data(2_000)
            with trace.op("aten::mm"):
                trace.kernel("ampere_sgemm_128x64_nn", 300)
            trace.python(50)
            trace.sync()
    path = trace.write()

Times are µs. The host pays `launch_us` for a launch; a kernel starts `latency_us` after it, or when its stream is free.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST, THREAD = 1000, 1000


class SyntheticTrace:
    """One rank with one device."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "NVIDIA A100-SXM4-80GB",
        capability: tuple[int, int] = (8, 0),
        memory_bytes: int = 80 << 30,
        launch_us: float = 5.0,
        latency_us: float = 3.0,
        rank: int | None = None,
        world_size: int = 1,
    ) -> None:
        self.folder = folder
        self.now = 1000.0
        self.free: dict[int, float] = {}
        self.launch_us, self.latency_us = launch_us, latency_us
        self.events: list[dict[str, Any]] = []
        self._correlation = 0
        self._external = 0
        self._steps = 0
        self._allocated = 0
        self._header: dict[str, Any] = {
            "schemaVersion": 1,
            "deviceProperties": [
                {
                    "id": 0,
                    "name": device,
                    "totalGlobalMem": memory_bytes,
                    "computeMajor": capability[0],
                    "computeMinor": capability[1],
                }
            ],
        }
        if rank is not None:
            self._header["distributedInfo"] = {"backend": "nccl", "rank": rank, "world_size": world_size}
        self.rank = rank

    def _add(self, category: str, name: str, start: float, end: float, tid: int = THREAD, **args: Any) -> None:
        pid = 0 if category in ("kernel", "gpu_memcpy", "gpu_memset") else HOST
        self.events.append(
            {
                "ph": "X",
                "cat": category,
                "name": name,
                "pid": pid,
                "tid": tid,
                "ts": round(start, 3),
                "dur": round(end - start, 3),
                "args": args,
            }
        )

    @contextmanager
    def step(self) -> Iterator[None]:
        """One ProfilerStep."""
        start, number = self.now, self._steps
        self._steps += 1
        yield
        self._add("user_annotation", f"ProfilerStep#{number}", start, self.now)

    @contextmanager
    def op(self, name: str, category: str = "cpu_op", **args: Any) -> Iterator[None]:
        """An operator around what is launched meanwhile; half a µs of its own on each side."""
        start = self.now
        self._external += 1
        args["External id"] = self._external
        self.now += 0.5
        yield
        self.now += 0.5
        self._add(category, name, start, self.now, **args)

    @contextmanager
    def line(self, file: str, line: int, function: str) -> Iterator[None]:
        """A Python frame, as with_stack records it."""
        start = self.now
        yield
        self._add("python_function", f"{file}({line}): {function}", start, self.now)

    def python(self, us: float) -> None:
        """Nothing that the profiler names."""
        self.now += us

    def data(self, us: float, workers: bool = True) -> None:
        """A request for a batch."""
        kind = "Multi" if workers else "Single"
        start = self.now
        self.now += us
        name = f"enumerate(DataLoader)#_{kind}ProcessingDataLoaderIter.__next__"
        self._add("user_annotation", name, start, self.now)

    def kernel(self, name: str, us: float, stream: int = 7) -> None:
        """A launch, and its kernel."""
        self._launch("cudaLaunchKernel", "kernel", name, us, stream)

    def copy(self, kind: str, us: float, size_bytes: int = 1 << 20, stream: int = 7, waits: bool | None = None) -> None:
        """``HtoD (Pageable -> Device)`` and its like; the host waits for pageable ones."""
        self._launch("cudaMemcpyAsync", "gpu_memcpy", f"Memcpy {kind}", us, stream, bytes=size_bytes)
        if waits if waits is not None else "Pageable" in kind:
            end = self.free[stream]
            self.events[-2]["dur"] = round(end - self.events[-2]["ts"], 3)
            self.now = max(self.now, end)

    def _launch(self, call: str, category: str, name: str, us: float, stream: int, **args: Any) -> None:
        self._correlation += 1
        start = self.now
        self.now += self.launch_us
        shared = {"correlation": self._correlation, "External id": self._external}
        self._add("cuda_runtime", call, start, self.now, **shared)
        begin = max(self.now + self.latency_us, self.free.get(stream, 0.0))
        self.free[stream] = begin + us
        self._add(category, name, begin, begin + us, tid=stream, device=0, stream=stream, **shared, **args)

    def sync(self, call: str = "cudaStreamSynchronize") -> None:
        """The host waits for all that is queued."""
        self._correlation += 1
        start = self.now
        self.now = max(self.now + 1.0, *self.free.values(), 0.0)
        self._add("cuda_runtime", call, start, self.now, correlation=self._correlation)

    def call(self, name: str, us: float) -> None:
        """A runtime call that launches nothing: cudaMalloc, cudaFree."""
        self._correlation += 1
        start = self.now
        self.now += us
        self._add("cuda_runtime", name, start, self.now, correlation=self._correlation)

    def item(self, line: tuple[str, int, str] | None = None) -> None:
        """``tensor.item()``: a small copy back, and the wait for it."""

        def read() -> None:
            with self.op("aten::item"), self.op("aten::_local_scalar_dense"):
                self.copy("DtoH (Device -> Pinned)", 2.0, 4)
                self.sync()

        if line is None:
            read()
        else:
            with self.line(*line):
                read()

    def collective(self, name: str, us: float, size_bytes: int = 1 << 22, stream: int = 20) -> None:
        """An NCCL collective on a stream of its own."""
        self._launch("cudaLaunchKernelExC", "kernel", f"ncclDevKernel_{name}_RING_LL", us, stream)
        args = self.events[-1]["args"]
        args["Collective name"], args["dtype"], args["Group size"] = name.lower(), "Float", 8
        args["In msg nelems"] = args["Out msg nelems"] = size_bytes // 4

    def memory(self, size_bytes: int, reserved: int) -> None:
        """An allocation, or a free with a negative size."""
        self._allocated += size_bytes
        totals = {"Total Allocated": self._allocated, "Total Reserved": reserved, "Device Id": 0, "Device Type": 1}
        self.events.append(
            {
                "ph": "i",
                "cat": "cpu_instant_event",
                "s": "t",
                "name": "[memory]",
                "pid": HOST,
                "tid": THREAD,
                "ts": round(self.now, 3),
                "args": {"Bytes": size_bytes, "Addr": 1, **totals},
            }
        )

    def write(self, name: str = "trace.json") -> Path:
        """The file."""
        path = self.folder / name
        path.write_text(json.dumps({**self._header, "traceEvents": self.events}))
        return path

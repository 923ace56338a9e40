"""How much CPU a batch and a step take: clocks read around some requests of a loader.

Stack samples cannot tell: the time between two of them spans a batch and a step, and reading the clocks of a thread and
of the process at every span would cost more than the span.
"""

from __future__ import annotations

import time
from typing import Any

from slowprobe.capture.batch_tensors import batch_tensors
from slowprobe.capture.batch_trials import Layout, layout_of
from slowprobe.capture.padding import PaddingLog
from slowprobe.capture.thread_reads import ThreadReads
from slowprobe.capture.transform_timer import TransformTimer
from slowprobe.run.loader_records import LoaderCpu, LoaderReads, Padding
from slowprobe.run.worker_records import ItemDigests, Transforms

_Reading = tuple[int, int, int]


class LoaderCpuMeter:
    """Reads wall, thread and process clocks on the training thread: at a request, its arrival, and the next request."""

    def __init__(self) -> None:
        self._asked: _Reading | None = None
        self._arrived: tuple[int, _Reading] | None = None
        self._sums: dict[int, list[int]] = {}
        self.tensors: dict[int, int] = {}
        """How many tensors a batch of each loader held; a worker hands each over for itself."""
        self.layouts: dict[int, Layout] = {}
        self._bytes: dict[int, int] = {}
        self._padding = PaddingLog()
        self.transforms = TransformTimer()
        """The transforms of loaders without workers."""
        self.reads = ThreadReads()
        """What their batches read."""

    def request(self, loader: int) -> None:
        """A batch is about to be asked for; a step may have ended."""
        self._asked = now = _read()
        if self._arrived is not None:
            before, (wall, _, process) = self._arrived
            self._arrived = None
            if before == loader:
                self._add(loader, 0, 0, 0, 1, now[0] - wall, now[2] - process)

    def arrival(self, loader: int, batch: Any) -> None:
        """The batch is there."""
        if self._asked is not None:
            wall, thread, _ = self._asked
            self._asked = None
            now = _read()
            self._add(loader, 1, now[0] - wall, now[1] - thread, 0, 0, 0)
            if loader not in self.tensors:
                self.tensors[loader], self._bytes[loader] = batch_tensors(batch)
                self.layouts[loader] = layout_of(batch)
            self._padding.look(loader, batch)
            self._arrived = loader, _read()

    def inputs(self, model: int, inputs: Any) -> bool:
        """What a model was given, in a loop without a loader; False once enough was seen."""
        return self._padding.look_at_inputs(model, inputs)

    def _add(self, loader: int, *values: int) -> None:
        sums = self._sums.setdefault(loader, [0] * len(values))
        for index, value in enumerate(values):
            sums[index] += value

    @property
    def padded(self) -> list[tuple[int, int]]:
        """Rows and columns of the batches with padding."""
        return self._padding.shapes

    def take(self) -> list[LoaderCpu | LoaderReads | Transforms | ItemDigests | Padding]:
        """What was read since the last call; called by the flushing thread."""
        sums, self._sums = self._sums, {}
        made: list[Transforms | ItemDigests] = [*self.transforms.take(), *self.transforms.items.take()]
        return [*made, *self.reads.take(), *self._padding.take(), *self._cpu(sums)]

    def _cpu(self, sums: dict[int, list[int]]) -> list[LoaderCpu]:
        return [
            LoaderCpu(
                loader=loader,
                waits=waits,
                wait_ns=wait_ns,
                wait_cpu_ns=wait_cpu_ns,
                steps=steps,
                step_ns=step_ns,
                step_cpu_ns=step_cpu_ns,
                batch_bytes=self._bytes.get(loader, -1),
            )
            for loader, (waits, wait_ns, wait_cpu_ns, steps, step_ns, step_cpu_ns) in sums.items()
        ]


def _read() -> _Reading:
    return time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()

"""Hand-made traces: host calls and device rows on one clock, in µs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.rows import COPIES, KINDS, DeviceRows
from slowprobe.trace.reader import MISSING, Trace, read_trace

MAIN, BACKWARD = 1, 2


class SmallTrace:
    """Collects events; `launch` adds the call and what it launched."""

    def __init__(self) -> None:
        self.events: list[dict[str, object]] = []
        self._correlation = 0

    def host(self, name: str, ts: float, dur: float, cat: str = "cpu_op", tid: int = MAIN, **args: object) -> None:
        self.events.append(
            {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": tid, "ts": ts, "dur": dur, "args": args}
        )

    def call(self, name: str, ts: float, dur: float, tid: int = MAIN) -> None:
        self.host(name, ts, dur, "cuda_runtime", tid)

    def step(self, number: int, ts: float, dur: float) -> None:
        self.host(f"ProfilerStep#{number}", ts, dur, "user_annotation")

    def device(self, name: str, ts: float, dur: float, cat: str = "kernel", stream: int = 7, **args: object) -> None:
        place = {"pid": 0, "tid": stream, "ts": ts, "dur": dur}
        self.events.append(
            {"ph": "X", "cat": cat, "name": name, **place, "args": {"stream": stream, "device": 0, **args}}
        )

    def launch(
        self,
        name: str,
        call: tuple[float, float],
        run: tuple[float, float],
        *,
        cat: str = "kernel",
        api: str = "cudaLaunchKernel",
        tid: int = MAIN,
        stream: int = 7,
        **args: object,
    ) -> None:
        """`call` and `run` are (start, duration)."""
        self._correlation += 1
        self.host(api, *call, cat="cuda_runtime", tid=tid, correlation=self._correlation)
        self.device(name, *run, cat=cat, stream=stream, correlation=self._correlation, **args)

    def read(self, folder: Path, **header: object) -> Trace:
        path = folder / "small.json"
        path.write_text(json.dumps({**header, "traceEvents": self.events}))
        return read_trace(path)


def device_rows_of(rows: Sequence[tuple[str, int, int]], classes: Sequence[str] = ()) -> DeviceRows:
    """Device rows of (kind, start, end), with no trace behind them."""
    order = sorted(range(len(rows)), key=lambda i: rows[i][1])
    rows = [rows[i] for i in order]
    names = [classes[i] for i in order] if classes else ["other"] * len(rows)
    missing = np.full(len(rows), MISSING, dtype=np.int64)
    return DeviceRows(
        row=np.arange(len(rows)),
        start_ns=np.array([start for _, start, _ in rows], dtype=np.int64),
        end_ns=np.array([end for _, _, end in rows], dtype=np.int64),
        kind=np.array([KINDS.index(kind) for kind, _, _ in rows], dtype=np.int8),
        class_id=np.array([CLASSES.index(name) for name in names], dtype=np.int8),
        tensor_cores=np.zeros(len(rows), dtype=np.bool_),
        stream=missing + 8,
        device=missing + 1,
        launch=missing,
        operator=missing,
        copy_kind=np.full(len(rows), COPIES.index("none"), dtype=np.int8),
    )

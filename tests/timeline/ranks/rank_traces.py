"""Hand-made jobs: each rank computes, comes to a collective at a time of its own, and all leave it together; in µs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SLOT = 1000.0  # from one collective to the next
ORIGIN = 1_700_000_000_000_000.0
TRANSFER = 50.0


Event = dict[str, Any]


def host(name: str, ts: float, dur: float, cat: str, **args: Any) -> Event:
    return {"ph": "X", "cat": cat, "name": name, "pid": 9, "tid": 9, "ts": ts, "dur": dur, "args": args}


def kernel(name: str, ts: float, dur: float, stream: int, correlation: int, **args: Any) -> Event:
    args = {"stream": stream, "device": 0, "correlation": correlation, **args}
    return {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": stream, "ts": ts, "dur": dur, "args": args}


class Job:
    """`comes[call][rank]`: how long after the slot's start a rank comes to the call; None where it takes no part."""

    def __init__(self, comes: Sequence[Sequence[float | None]], calls_a_step: int = 1) -> None:
        self.comes = comes
        self.calls_a_step = calls_a_step
        self.size = len(comes[0])
        self.kind: Callable[[int], str] = lambda call: "all_reduce"
        self.group: Callable[[int, int], str | None] = lambda call, rank: None
        self.groups: list[dict[str, Any]] = []
        self.hidden: set[int] = set()
        """Ranks that compute beside every collective."""
        self.marks = True
        self.world_size: int | None = self.size
        self.clock: dict[int, float] = {}
        self.end_apart: Callable[[int, int], float] = lambda call, rank: 0.0
        self.skipped: set[tuple[int, int]] = set()
        """(call, rank) that the recording lost."""

    def events(self, rank: int) -> list[Event]:
        zero = ORIGIN + self.clock.get(rank, 0.0)
        events: list[Event] = []
        for call, comes in enumerate(self.comes):
            start = zero + call * SLOT
            if self.marks and call % self.calls_a_step == 0:
                step = call // self.calls_a_step
                length = SLOT * self.calls_a_step
                events.append(host(f"ProfilerStep#{step + 5}", start, length, "user_annotation"))
            mine = comes[rank]
            if mine is None or (call, rank) in self.skipped:
                continue
            events += self._call(call, rank, start, mine, max(each for each in comes if each is not None))
        return events

    def _call(self, call: int, rank: int, start: float, comes: float, last: float) -> list[Event]:
        kind = self.kind(call)
        end = last + TRANSFER + self.end_apart(call, rank)
        told = {"Collective name": kind, "Process Group Name": group} if (group := self.group(call, rank)) else {}
        first, second = call * 10 + 1, call * 10 + 2
        events = [
            host("cudaLaunchKernel", start + 1, 2, "cuda_runtime", correlation=first),
            kernel("ampere_sgemm_128x64_tn", start + 5, comes - 5, 7, first),
            host("record_param_comms", start + 10, 20, "cpu_op", **told),
            host(f"nccl:{kind}", start + 12, 15, "user_annotation"),
            host("cudaLaunchKernelExC", start + 15, 3, "cuda_runtime", correlation=second),
            kernel("ncclDevKernel_Generic(ncclDevKernelArgsStorage<4096ul>)", start + comes, end - comes, 22, second),
        ]
        if rank in self.hidden:
            events += [
                host("cudaLaunchKernel", start + 40, 2, "cuda_runtime", correlation=first + 2),
                kernel("ampere_sgemm_64x64_nn", start + comes, end - comes, 7, first + 2),
            ]
        return events

    def write(self, folder: Path, name: str = "rank{}.json", ranks: Sequence[int] | None = None) -> list[Path]:
        """One file a rank."""
        paths = []
        for rank in range(self.size) if ranks is None else ranks:
            header: dict[str, Any] = {"deviceProperties": [{"id": 0, "name": "NVIDIA A100-SXM4-80GB"}]}
            if self.world_size is not None:
                header["distributedInfo"] = {"backend": "nccl", "rank": rank, "world_size": self.world_size}
                if self.groups:
                    header["distributedInfo"]["pg_config"] = self.groups
            path = folder / name.format(rank)
            path.write_text(json.dumps({"schemaVersion": 1, **header, "traceEvents": self.events(rank)}))
            paths.append(path)
        return paths

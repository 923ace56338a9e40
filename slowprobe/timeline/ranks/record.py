"""What is kept of each rank's trace: enough to compare ranks, little enough to be sent between processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowprobe.timeline.device.facts import DeviceFacts, device_facts
from slowprobe.timeline.device.partition import DevicePartition
from slowprobe.timeline.ranks.calls import CollectiveCalls, collective_calls
from slowprobe.timeline.ranks.identity import Distributed, distributed
from slowprobe.trace.reader import Trace, read_trace


@dataclass(frozen=True, slots=True, kw_only=True)
class RankDevice:
    """The busiest device of one rank."""

    name: str | None
    partition: DevicePartition
    """Of its whole span."""
    steps: int
    step_ns: float | None
    """Median; None without steps."""
    work_ns: dict[str, float]
    """A mean step without communication, by what the device does or waits for; of the whole span without steps."""
    calls: CollectiveCalls


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRecord:
    """One trace, of one rank, without its events."""

    path: Path
    told: Distributed
    device: RankDevice | None
    """None without device activity."""
    warnings: tuple[str, ...]


def read_record(path: Path) -> RankRecord:
    """Reads one trace for its record. Raises `TraceError` where it cannot be read."""
    return rank_record(read_trace(path))


def rank_record(trace: Trace) -> RankRecord:
    """The record of a trace that is read already."""
    facts = device_facts(trace)
    return RankRecord(
        path=trace.path,
        told=distributed(trace.header.get("distributed")),
        device=_device(trace, facts) if facts is not None else None,
        warnings=trace.warnings,
    )


def _device(trace: Trace, facts: DeviceFacts) -> RankDevice:
    steps = facts.steps
    return RankDevice(
        name=facts.device_name,
        partition=facts.partition,
        steps=len(steps),
        step_ns=float(np.median(steps.end_ns - steps.start_ns)) if len(steps) else None,
        work_ns=_work_ns(facts),
        calls=collective_calls(trace, facts.rows, steps),
    )


def _work_ns(facts: DeviceFacts) -> dict[str, float]:
    splits = facts.step_partitions or (facts.partition,)
    idle = facts.step_idle if facts.step_partitions else (facts.gaps.by_cause,)
    total = {"compute": sum(split.compute_ns for split in splits), "copy": sum(s.exposed_copy_ns for s in splits)}
    for causes in idle:
        for cause, ns in causes.items():
            total[cause] = total.get(cause, 0) + ns
    return {what: ns / len(splits) for what, ns in total.items()}

"""What is kept of each rank's trace: enough to compare ranks, little enough to be sent between processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.partition import DevicePartition, device_partition
from slowprobe.timeline.device.rows import DeviceRows, device_rows
from slowprobe.timeline.device.steps import TraceSteps, trace_steps
from slowprobe.timeline.ranks.calls import CollectiveCalls, collective_calls
from slowprobe.timeline.ranks.identity import Distributed, distributed
from slowprobe.trace.reader import Trace, read_trace


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRecord:
    """One trace, of one rank, without its events."""

    path: Path
    told: Distributed
    device_name: str | None
    steps: int
    step_ns: float | None
    """Median; None without steps."""
    partition: DevicePartition | None
    """Of the whole span of the busiest device; None without device activity."""
    calls: CollectiveCalls | None
    events: int
    warnings: tuple[str, ...]


def read_record(path: Path) -> RankRecord:
    """Reads one trace for its record. Raises `TraceError` where it cannot be read."""
    return rank_record(read_trace(path))


def rank_record(trace: Trace, facts: DeviceFacts | None = None) -> RankRecord:
    """The record of a trace that is read already; `facts` spare what they hold being computed anew."""
    rows = facts.rows if facts is not None else _busiest(device_rows(trace))
    if not len(rows):
        steps = trace_steps(trace, rows)
        return _record(trace, steps, None, None, None)
    steps = facts.steps if facts is not None else trace_steps(trace, rows)
    split = (
        facts.partition if facts is not None else device_partition(rows, int(rows.start_ns[0]), int(rows.end_ns.max()))
    )
    name = facts.device_name if facts is not None else device_name(trace, int(rows.device[0]))
    return _record(trace, steps, split, collective_calls(trace, rows, steps), name)


def device_name(trace: Trace, device: int) -> str | None:
    """What the trace's header calls a device; None where it does not name it."""
    devices = trace.header.get("devices")
    for entry in devices if isinstance(devices, list) else ():
        if isinstance(entry, dict) and entry.get("id") == device and isinstance(entry.get("name"), str):
            return str(entry["name"])
    return None


def _busiest(rows: DeviceRows) -> DeviceRows:
    devices = np.unique(rows.device)
    if len(devices) < 2:
        return rows
    work = [int((rows.end_ns - rows.start_ns)[rows.device == device].sum()) for device in devices]
    return rows.of_device(int(devices[int(np.argmax(work))]))


def _record(
    trace: Trace,
    steps: TraceSteps,
    split: DevicePartition | None,
    calls: CollectiveCalls | None,
    name: str | None,
) -> RankRecord:
    return RankRecord(
        path=trace.path,
        told=distributed(trace.header.get("distributed")),
        device_name=name,
        steps=len(steps),
        step_ns=float(np.median(steps.end_ns - steps.start_ns)) if len(steps) else None,
        partition=split,
        calls=calls,
        events=len(trace),
        warnings=trace.warnings,
    )

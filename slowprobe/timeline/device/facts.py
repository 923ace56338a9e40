"""All that a trace tells of one device, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.allocator import AllocatorCalls, allocator_calls
from slowprobe.timeline.device.collectives import CollectiveStat, collective_table
from slowprobe.timeline.device.copies import CopyStat, copy_table
from slowprobe.timeline.device.hardware import hardware
from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.host_activity import HostActivity, host_activity
from slowprobe.timeline.device.idle import IdleGaps, idle_gaps
from slowprobe.timeline.device.intervals import distinct
from slowprobe.timeline.device.kernels import KernelStat, kernel_table
from slowprobe.timeline.device.memory import MemoryCurve, memory_curve
from slowprobe.timeline.device.partition import BusyTime, DevicePartition
from slowprobe.timeline.device.queue import LaunchQueue, launch_queue
from slowprobe.timeline.device.rows import DeviceRows, device_rows
from slowprobe.timeline.device.steps import TraceSteps, trace_steps
from slowprobe.timeline.device.syncs import SyncStat, sync_table
from slowprobe.trace.reader import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """One device of one rank."""

    trace_name: str
    rank: int | None
    world_size: int | None
    device: int
    devices: tuple[int, ...]
    """All devices with activity in this trace; everything else here is of `device` alone, the busiest."""
    device_name: str | None
    capability: tuple[int, int] | None
    """Compute capability, of NVIDIA devices."""
    has_tensor_cores: bool | None
    """Matrix cores on AMD; None where the trace does not name the device."""
    memory_bytes: int | None
    """Of the whole device."""
    span_start_ns: int
    span_end_ns: int
    """From the start of its first row to the end of its last."""
    rows: DeviceRows
    steps: TraceSteps
    partition: DevicePartition
    """Of the whole span."""
    step_partitions: tuple[DevicePartition, ...]
    """What the device did while the host was in each step."""
    step_idle: tuple[dict[str, int], ...]
    """Of each step: idle ns by cause; adds up to the idle time of its partition."""
    gaps: IdleGaps
    queue: LaunchQueue
    kernels: tuple[KernelStat, ...]
    copies: tuple[CopyStat, ...]
    syncs: tuple[SyncStat, ...]
    collectives: tuple[CollectiveStat, ...]
    memory: MemoryCurve | None
    allocator: AllocatorCalls
    operators: frozenset[str]
    """The names of all operators and annotations."""
    host: HostActivity
    warnings: tuple[str, ...]


def device_facts(trace: Trace) -> DeviceFacts | None:
    """Everything of the busiest device; None without device activity."""
    host = Host(trace)
    every = device_rows(trace, host)
    if not len(every):
        return None
    busy_ns = {device: BusyTime(every.of_device(device)).busy.total_ns for device in distinct(every.device).tolist()}
    device = max(busy_ns, key=lambda number: busy_ns[number])
    rows = every if len(busy_ns) == 1 else every.of_device(device)
    busy, steps = BusyTime(rows), trace_steps(trace, rows, host)
    start_ns, end_ns = int(rows.start_ns.min()), int(rows.end_ns.max())
    gaps, queue = idle_gaps(trace, rows, steps, host), launch_queue(trace, rows)
    bounds = list(zip(steps.start_ns.tolist(), steps.end_ns.tolist(), strict=True))
    about = hardware(trace, device)
    rank, world_size = _rank(trace)
    return DeviceFacts(
        trace_name=trace.path.name,
        rank=rank,
        world_size=world_size,
        device=device,
        devices=tuple(busy_ns),
        device_name=about.name,
        capability=about.capability,
        has_tensor_cores=about.has_tensor_cores,
        memory_bytes=about.memory_bytes,
        span_start_ns=start_ns,
        span_end_ns=end_ns,
        rows=rows,
        steps=steps,
        partition=busy.partition(start_ns, end_ns),
        step_partitions=tuple(busy.partition(*bound) for bound in bounds),
        step_idle=tuple(gaps.between(*bound) for bound in bounds),
        gaps=gaps,
        queue=queue,
        kernels=tuple(kernel_table(trace, rows)),
        copies=tuple(copy_table(trace, rows, host, busy)),
        syncs=tuple(sync_table(trace, gaps, host)),
        collectives=tuple(collective_table(trace, rows, host, busy)),
        memory=memory_curve(trace, steps, host),
        allocator=allocator_calls(trace, steps, host),
        operators=_operators(trace),
        host=host_activity(host, rows, steps),
        warnings=_warnings(trace, rows, queue, steps, device, busy_ns),
    )


def _operators(trace: Trace) -> frozenset[str]:
    named = distinct(trace.name_id[trace.operators() | trace.annotations()])
    return frozenset(trace.names[number] for number in named.tolist())


def _warnings(
    trace: Trace, rows: DeviceRows, queue: LaunchQueue, steps: TraceSteps, device: int, busy_ns: dict[int, int]
) -> tuple[str, ...]:
    told = [*trace.warnings, *steps.left_out]
    if queue.unlaunched:
        told.append(f"{queue.unlaunched} of {len(rows)} device rows have no launch in the trace; they are counted.")
    if len(busy_ns) > 1:
        others = ", ".join(str(number) for number in busy_ns if number != device)
        told.append(f"Figures are of device {device}, the busiest; this trace also has device {others}.")
    return tuple(told)


def _rank(trace: Trace) -> tuple[int | None, int | None]:
    distributed = trace.header.get("distributed")
    if not isinstance(distributed, dict):
        return None, None
    rank, size = distributed.get("rank"), distributed.get("world_size")
    return rank if isinstance(rank, int) else None, size if isinstance(size, int) else None

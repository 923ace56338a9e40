"""All that a trace tells of one device, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.collectives import CollectiveStat
from slowprobe.timeline.device.copies import CopyStat
from slowprobe.timeline.device.idle import IdleGaps
from slowprobe.timeline.device.kernels import KernelStat
from slowprobe.timeline.device.memory import MemoryCurve
from slowprobe.timeline.device.partition import DevicePartition
from slowprobe.timeline.device.queue import LaunchQueue
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.timeline.device.syncs import SyncStat
from slowprobe.trace.reader import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class HostActivity:
    """What the host did for the device. Medians over the steps; over the whole span where there are none."""

    launch_thread: int
    """tid of the thread with the most launches; `MISSING` without launches."""
    launch_threads: tuple[int, ...]
    """All threads that launched, the busiest first."""
    ops_per_step: float
    launches_per_step: float
    data_ns: float
    """A step's time in requests for data."""
    sync_ns: float
    """A step's time in synchronising calls, outside requests for data."""
    launch_ns: float
    """A step's time in launch calls (kernels, copies, memsets)."""
    op_ns: float
    """A step's time in operators, less the above."""
    python_ns: float
    """The rest of the step, on the launching threads."""
    step_ns: float


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
    """Compute capability of NVIDIA devices."""
    has_tensor_cores: bool | None
    """None where the trace does not name the device."""
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
    step_idle: tuple[dict[str, int], ...]
    """Idle ns by cause, of each step."""
    gaps: IdleGaps
    queue: LaunchQueue
    kernels: tuple[KernelStat, ...]
    copies: tuple[CopyStat, ...]
    syncs: tuple[SyncStat, ...]
    collectives: tuple[CollectiveStat, ...]
    memory: MemoryCurve | None
    host: HostActivity
    warnings: tuple[str, ...]


def device_facts(trace: Trace) -> DeviceFacts | None:
    """Everything of the busiest device; None without device activity."""
    raise NotImplementedError

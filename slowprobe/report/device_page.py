"""The device as the HTML page lays it out: tiles, the partition in groups, and the tables behind the charts."""

from __future__ import annotations

import math

import msgspec

from slowprobe.report.device_document import (
    Device,
    DeviceMemory,
    DevicePart,
    DeviceRank,
    DeviceRanks,
    DeviceSteps,
    Kernel,
)
from slowprobe.report.device_words import (
    BASES,
    COPIES,
    GROUPS,
    headline,
    idle_part,
    is_idle,
    ranked,
    short_kernel,
    short_site,
)
from slowprobe.report.document import Time
from slowprobe.report.quantities import NOTHING, fact, figures, memory, milliseconds, percent, rounded, seconds
from slowprobe.report.timeline_words import bucket, label

__all__ = [
    "BASES",
    "COPIES",
    "bucket",
    "headline",
    "idle_part",
    "is_idle",
    "label",
    "ranked",
    "short_kernel",
    "short_site",
]

OPEN_KERNELS = 12
MEMORY_ROWS = 24
TENSOR_CORE_CLASSES = ("matmul", "convolution", "attention")


class PartGroup(msgspec.Struct, frozen=True):
    """Computing, communication, copies or idle, with its parts, the largest first."""

    id: str
    label: str
    us: float
    parts: list[DevicePart]


def groups(device: Device) -> list[PartGroup]:
    """The partition of the whole recording; together the groups are its span."""
    found = []
    for group, text in GROUPS.items():
        parts = ranked([part for part in device.parts if part.group == group])
        if parts:
            found.append(PartGroup(group, text, sum(part.us for part in parts), parts))
    return found


def tiles(device: Device) -> list[tuple[str, str]]:
    """The few figures worth seeing first, as label and value."""
    span = device.span_us
    if not span > 0:
        return []
    rows = [("busy", percent(device.busy_us / span)), ("idle", percent(device.idle_us / span))]
    if device.drained_us > 0:
        rows.append(("idle after a sync", percent(device.drained_us / span)))
    if device.tensor_core_us is not None and device.tensor_core_able_us > 0:
        rows.append(("of matrix work on tensor cores", percent(device.tensor_core_us / device.tensor_core_able_us)))
    launches, delay = device.host.get("launches"), device.queue.get("median_delay_us")
    if launches:
        rows.append(("launches a step" if device.steps else "launches", rounded(launches)))
    if delay is not None:
        rows.append(("launch to start, median", seconds(delay / 1e6)))
    return rows


def step_rows(steps: DeviceSteps) -> list[tuple[str, str, list[str]]]:
    """The step chart as a table: step, its length, and its time in each of `step_columns`."""
    columns = [part for part, _ in step_columns(steps)]
    rows = []
    for place, (number, span_us) in enumerate(zip(steps.number, steps.span_us, strict=False)):
        cells = [steps.parts[part][place] if place < len(steps.parts[part]) else math.nan for part in columns]
        name = f"{number}" if steps.group == 1 else f"{number}, and {steps.group - 1} more"
        rows.append((name, seconds(span_us / 1e6), [seconds(us / 1e6) for us in cells]))
    return rows


def step_columns(steps: DeviceSteps) -> list[tuple[str, str]]:
    """The largest parts of all steps together, as part and label."""
    order = sorted(steps.parts, key=lambda part: -sum(steps.parts[part]))
    return [(part, label(part)) for part in order[:7]]


def tensor_cores(kernel: Kernel) -> str:
    """Whether a kernel runs on tensor cores, where that is a question."""
    if kernel.kind not in TENSOR_CORE_CLASSES:
        return ""
    return "yes" if kernel.tensor_cores else "no"


def host_rows(device: Device) -> list[tuple[str, str]]:
    """A step's time on the launching threads, as label and value."""
    named = {
        "data_us": "getting the batch",
        "python_us": "Python between operators",
        "operators_us": "operators",
        "launch_us": "launch calls",
        "sync_us": "waiting for the device",
    }
    rows = [(text, device.host.get(key)) for key, text in named.items()]
    return [(text, milliseconds(us / 1e3)) for text, us in rows if us is not None and us > 0]


def rank_parts(rank: DeviceRank) -> list[tuple[str, str, float]]:
    """A rank's time as part, label and share; without those that took none."""
    named = [
        ("step", "computing", rank.compute_us),
        ("communication", "communication that nothing hides", rank.exposed_communication_us),
        ("copy", "copies that nothing hides", rank.exposed_copy_us),
        ("idle_other", "idle", rank.idle_us),
    ]
    span = rank.span_us if rank.span_us > 0 else 1.0
    return [(part, text, us / span) for part, text, us in named if us > 0]


def same_device(job: DeviceRanks) -> str:
    """The device that all ranks have, if it is one kind."""
    kinds = {rank.device for rank in job.ranks}
    return kinds.pop() if len(kinds) == 1 else ""


def is_split_above(device: Device, time: Time) -> bool:
    """Whether the report has split its time by what the device did already, as that of a trace with steps has."""
    shown = {bucket.id for bucket in time.buckets}
    return device.steps is not None and any(part.group == "compute" and part.id in shown for part in device.parts)


def memory_rows(curve: DeviceMemory) -> list[tuple[str, str, str]]:
    """The curve as a table: time, allocated, reserved; the largest of each stretch."""
    points = list(zip(curve.time_us, curve.allocated_bytes, curve.reserved_bytes, strict=False))
    stretch = max(1, math.ceil(len(points) / MEMORY_ROWS))
    rows = []
    for at in range(0, len(points), stretch):
        times, allocated, reserved = zip(*points[at : at + stretch], strict=True)
        most = max(reserved)
        rows.append((seconds(times[0] / 1e6), memory(max(allocated)), memory(most) if most >= 0 else NOTHING))
    return rows


def memory_tiles(curve: DeviceMemory) -> list[tuple[str, str]]:
    """The memory in figures, as label and value."""
    rows = [("allocated at the peak", memory(curve.peak_bytes))]
    if curve.peak_reserved_bytes > 0:
        rows.append(("reserved at the peak", memory(curve.peak_reserved_bytes)))
    if curve.allocations_per_step is not None:
        rows.append(("allocations a step", rounded(curve.allocations_per_step)))
    else:
        rows.append(("allocations", fact(curve.allocations)))
    if curve.churn_bytes_per_step is not None:
        rows.append(("allocated anew a step", memory(curve.churn_bytes_per_step)))
    if curve.device_mallocs or curve.device_frees:
        rows.append(("asked of the driver", f"{curve.device_mallocs + curve.device_frees:,} times"))
    return rows


def maybe(us: float | None) -> str:
    """A duration that may not be known."""
    return NOTHING if us is None else seconds(us / 1e6)


def share_of(us: float, span_us: float) -> str:
    """A time as a share of a span, as a percentage."""
    return percent(us / span_us) if span_us > 0 else NOTHING


def size(size_bytes: int | None) -> str:
    """Bytes that may not be known, small ones in KiB."""
    if size_bytes is None:
        return NOTHING
    return memory(size_bytes) if size_bytes >= 2**18 else f"{figures(size_bytes / 2**10)} KiB"


def bandwidth(size_bytes: int | None, us: float) -> str:
    """Bytes over time, in GB/s."""
    if size_bytes is None or not us > 0:
        return NOTHING
    return f"{figures(size_bytes / us / 1e3)} GB/s"

"""Each nanosecond of a stretch in one place: compute, exposed communication, exposed copy, or idle."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.timeline.device.rows import DeviceRows


@dataclass(frozen=True, slots=True)
class DevicePartition:
    """compute + exposed communication + exposed copies + idle = span, to the nanosecond."""

    span_ns: int
    busy_ns: int
    idle_ns: int
    compute_ns: int
    """The union of all computing rows, memsets among them."""
    communication_ns: int
    """The union, hidden or not."""
    copy_ns: int
    """The union, hidden or not."""
    exposed_communication_ns: int
    """Communication while nothing computes."""
    exposed_copy_ns: int
    """Copies while nothing computes or communicates."""
    by_class: dict[str, int]
    """Adds up to `compute_ns`: where kernels overlap, time belongs to the one that began first."""


def device_partition(rows: DeviceRows, start_ns: int, end_ns: int) -> DevicePartition:
    """Divides [start, end) of a device; `rows` are those of that device."""
    raise NotImplementedError

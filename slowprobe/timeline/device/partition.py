"""Each nanosecond of a stretch in one place: compute, exposed communication, exposed copy, or idle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.intervals import Cover, pieces
from slowprobe.timeline.device.rows import COMMUNICATION, COMPUTE, COPY, DeviceRows
from slowprobe.trace.reader import Ints


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

    def __post_init__(self) -> None:
        shown = self.compute_ns + self.exposed_communication_ns + self.exposed_copy_ns
        assert shown == self.busy_ns and shown + self.idle_ns == self.span_ns, self
        assert sum(self.by_class.values()) == self.compute_ns, self


class BusyTime:
    """What the rows of one device cover, ready to be asked for any stretch."""

    def __init__(self, rows: DeviceRows) -> None:
        compute, communication, copy = (rows.kind == kind for kind in (COMPUTE, COMMUNICATION, COPY))
        start, end = rows.start_ns, rows.end_ns
        self.compute = Cover(start[compute], end[compute])
        self.communication = Cover(start[communication], end[communication])
        self.copy = Cover(start[copy], end[copy])
        self.compute_or_communication = Cover(start[~copy], end[~copy])
        self.busy = Cover(start, end)
        own_start, own_end = pieces(start[compute], end[compute])
        classes = rows.class_id[compute]
        self._by_class = {
            name: Cover(own_start[classes == number], own_end[classes == number])
            for number, name in enumerate(CLASSES)
            if (classes == number).any()
        }

    def partition(self, start_ns: int, end_ns: int) -> DevicePartition:
        """Of [start, end)."""
        span_ns = end_ns - start_ns
        busy_ns = self.busy.between(start_ns, end_ns)
        compute_ns = self.compute.between(start_ns, end_ns)
        shown_ns = self.compute_or_communication.between(start_ns, end_ns)
        by_class = {name: cover.between(start_ns, end_ns) for name, cover in self._by_class.items()}
        return DevicePartition(
            span_ns=span_ns,
            busy_ns=busy_ns,
            idle_ns=span_ns - busy_ns,
            compute_ns=compute_ns,
            communication_ns=self.communication.between(start_ns, end_ns),
            copy_ns=self.copy.between(start_ns, end_ns),
            exposed_communication_ns=shown_ns - compute_ns,
            exposed_copy_ns=busy_ns - shown_ns,
            by_class={name: ns for name, ns in by_class.items() if ns},
        )

    def exposed_ns(self, rows: DeviceRows) -> Ints:
        """What each row shows of itself: adds up to all busy time.

        Compute hides communication, both hide copies; of rows of one kind, time belongs to the one that began first.
        """
        shown = np.zeros(len(rows), dtype=np.int64)
        hiding = {COMPUTE: None, COMMUNICATION: self.compute, COPY: self.compute_or_communication}
        for kind, cover in hiding.items():
            mask = rows.kind == kind
            start, end = pieces(rows.start_ns[mask], rows.end_ns[mask])
            shown[mask] = end - start - (cover.within(start, end) if cover else 0)
        return shown


def device_partition(rows: DeviceRows, start_ns: int, end_ns: int) -> DevicePartition:
    """Divides [start, end) of a device; `rows` are those of that device. For many stretches, keep a `BusyTime`."""
    return BusyTime(rows).partition(start_ns, end_ns)

"""Kernels, copies, synchronisations and collectives as rows of the result document."""

from __future__ import annotations

from slowprobe.report import device_document as doc
from slowprobe.report.device_words import class_part
from slowprobe.report.timeline_document import us
from slowprobe.timeline.device.facts import DeviceFacts

MOST_ROWS = 60  # of copies, synchronisations and collectives
_MOST_OPS = 5


def kernels(facts: DeviceFacts, most: int) -> list[doc.Kernel]:
    """The dearest kernels."""
    return [
        doc.Kernel(
            name=kernel.name,
            kind=class_part(kernel.class_name),
            tensor_cores=kernel.tensor_cores,
            count=int(kernel.count),
            total_us=us(kernel.total_ns),
            mean_us=us(kernel.mean_ns),
            median_us=us(kernel.median_ns),
            longest_us=us(kernel.longest_ns),
            share=round(kernel.share, 6),
            ops=list(kernel.ops[:_MOST_OPS]),
        )
        for kernel in facts.kernels[:most]
    ]


def copies(facts: DeviceFacts) -> list[doc.DeviceCopy]:
    """Copies by kind and place."""
    return [
        doc.DeviceCopy(
            kind=copy.kind,
            where=copy.site or "",
            op=copy.op or "",
            count=int(copy.count),
            total_us=us(copy.total_ns),
            exposed_us=us(copy.exposed_ns),
            size_bytes=int(copy.size_bytes) or None,
        )
        for copy in facts.copies[:MOST_ROWS]
    ]


def syncs(facts: DeviceFacts) -> list[doc.DeviceSync]:
    """Synchronising calls by name and place."""
    return [
        doc.DeviceSync(
            name=sync.name,
            where=sync.line or "",
            op=sync.op or "",
            count=int(sync.count),
            total_us=us(sync.total_ns),
            drained_us=us(sync.drained_ns),
        )
        for sync in facts.syncs[:MOST_ROWS]
    ]


def collectives(facts: DeviceFacts) -> list[doc.DeviceCollective]:
    """Collectives by name and group."""
    return [
        doc.DeviceCollective(
            name=each.name,
            group=each.group or "",
            count=int(each.count),
            total_us=us(each.total_ns),
            exposed_us=us(each.exposed_ns),
            size_bytes=int(each.size_bytes) or None,
        )
        for each in facts.collectives[:MOST_ROWS]
    ]

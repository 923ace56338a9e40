"""Reduces the facts of a device trace to the part of the result document that is about the device."""

from __future__ import annotations

import numpy as np

from slowprobe.report import device_document as doc
from slowprobe.report.device_ranks import device_ranks
from slowprobe.report.device_step import step_timeline, typical
from slowprobe.report.device_tables import collectives, copies, kernels, syncs
from slowprobe.report.device_words import class_part, idle_part
from slowprobe.report.timeline_document import us
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.memory import MemoryCurve
from slowprobe.timeline.device.partition import DevicePartition
from slowprobe.timeline.ranks.facts import Ranks
from slowprobe.trace.reader import Ints, Trace

MOST_STEPS = 120  # bars of the chart; of more steps, neighbours are averaged
MOST_KERNELS = 40
MEMORY_POINTS = 240
MOST_MARKS = 60  # of steps in the chart of the memory: more would hide the curve
_TENSOR_CORE_CLASSES = ("matmul", "convolution", "attention")


def device_section(trace: Trace, facts: DeviceFacts, ranks: Ranks | None = None) -> doc.Device:
    """The document's `device`; `facts` are those of `trace`, `ranks` of all traces of the job."""
    whole = facts.partition
    able = [kernel for kernel in facts.kernels if kernel.class_name in _TENSOR_CORE_CLASSES]
    able_ns = sum(kernel.total_ns for kernel in able)
    host = facts.host
    return doc.Device(
        span_us=us(whole.span_ns),
        busy_us=us(whole.busy_ns),
        idle_us=us(whole.idle_ns),
        compute_us=us(whole.compute_ns),
        communication_us=us(whole.communication_ns),
        exposed_communication_us=us(whole.exposed_communication_ns),
        exposed_copy_us=us(whole.exposed_copy_ns),
        idle_causes={cause: us(ns) for cause, ns in facts.gaps.by_cause.items()},
        name=_name(facts),
        rank=facts.rank,
        trace=facts.trace_name,
        copy_us=us(whole.copy_ns),
        drained_us=us(facts.gaps.drained_ns),
        tensor_core_us=us(sum(kernel.total_ns for kernel in able if kernel.tensor_cores))
        if able_ns and facts.has_tensor_cores is not False
        else None,
        tensor_core_able_us=us(able_ns),
        parts=_parts(whole, facts.gaps.by_cause),
        steps=_steps(facts),
        timeline=step_timeline(trace, facts),
        queue=_queue(facts),
        kernels=kernels(facts, MOST_KERNELS),
        kernels_left_out=max(0, len(facts.kernels) - MOST_KERNELS),
        kernels_left_out_us=us(sum(kernel.total_ns for kernel in facts.kernels[MOST_KERNELS:])),
        copies=copies(facts),
        syncs=syncs(facts),
        collectives=collectives(facts),
        ranks=device_ranks(ranks) if ranks is not None else None,
        memory=_memory(facts.memory, facts.steps.start_ns)
        if facts.memory is not None and len(facts.memory.time_ns) > 1
        else None,
        host={
            "operators": _rounded(host.ops_per_step),
            "launches": _rounded(host.launches_per_step),
            "data_us": us(host.data_ns),
            "sync_us": us(host.sync_ns),
            "launch_us": us(host.launch_ns),
            "operators_us": us(host.op_ns),
            "python_us": us(host.python_ns),
            "step_us": us(host.step_ns),
        },
        warnings=[line for line in facts.warnings if line not in facts.steps.left_out],
    )


def _name(facts: DeviceFacts) -> str:
    name = facts.device_name or "the device"
    return f"{name}, device {facts.device}" if len(facts.devices) > 1 else name


def _parts(partition: DevicePartition, idle: dict[str, int]) -> list[doc.DevicePart]:
    cells: list[tuple[str, doc.Group, int]] = [
        (class_part(name), "compute", ns) for name, ns in partition.by_class.items()
    ]
    cells.append(("communication", "communication", partition.exposed_communication_ns))
    cells.append(("copy", "copy", partition.exposed_copy_ns))
    cells += [(idle_part(cause), "idle", ns) for cause, ns in idle.items()]
    span = partition.span_ns or 1
    return [
        doc.DevicePart(id=part, group=group, us=us(ns), share=round(ns / span, 6))
        for part, group, ns in cells
        if ns > 0
    ]


def _steps(facts: DeviceFacts) -> doc.DeviceSteps | None:
    count = len(facts.steps)
    if not count:
        return None
    columns = [
        {part.id: part.us for part in _parts(partition, idle)}
        for partition, idle in zip(facts.step_partitions, facts.step_idle, strict=True)
    ]
    group = -(-count // MOST_STEPS)
    starts = range(0, count, group)
    spans = [us(partition.span_ns) for partition in facts.step_partitions]
    used = sorted({part for column in columns for part in column})
    return doc.DeviceSteps(
        basis=facts.steps.basis,
        count=count,
        median_us=round(float(np.median(spans)), 3),
        group=group,
        number=[int(facts.steps.number[at]) for at in starts],
        span_us=[_mean(spans[at : at + group]) for at in starts],
        parts={part: [_mean([c.get(part, 0.0) for c in columns[at : at + group]]) for at in starts] for part in used},
        typical=int(facts.steps.number[typical(facts)]),
        left_out=list(facts.steps.left_out),
    )


def _queue(facts: DeviceFacts) -> dict[str, float | None]:
    delays = facts.queue.delay_ns[~np.isnan(facts.queue.delay_ns)]
    median, p90 = np.percentile(delays, (50, 90)).tolist() if len(delays) else (None, None)
    return {
        "median_delay_us": None if median is None else us(median),
        "p90_delay_us": None if p90 is None else us(p90),
        "deepest": float(facts.queue.depth.max()) if len(facts.queue.depth) else None,
        "unlaunched": float(facts.queue.unlaunched),
    }


def _memory(curve: MemoryCurve | None, steps_ns: Ints) -> doc.DeviceMemory | None:
    """The largest value of each of many equal stretches, so that the peak is on the curve."""
    if curve is None or len(curve.time_ns) < 2:
        return None
    first, last = int(curve.time_ns[0]), int(curve.time_ns[-1])
    edges = np.unique(np.linspace(first, last + 1, min(MEMORY_POINTS, len(curve.time_ns)) + 1).astype(np.int64))
    at = np.unique(np.searchsorted(curve.time_ns, edges[:-1]))
    at = at[at < len(curve.time_ns)]
    marks_ns = steps_ns[(steps_ns >= first) & (steps_ns <= last)]
    return doc.DeviceMemory(
        time_us=[us(ns - first) for ns in curve.time_ns[at].tolist()],
        allocated_bytes=np.maximum.reduceat(curve.allocated_bytes, at).tolist(),
        reserved_bytes=np.maximum.reduceat(curve.reserved_bytes, at).tolist(),
        span_us=us(last - first),
        on_host=curve.device < 0,
        peak_bytes=int(curve.peak_bytes),
        peak_us=us(curve.peak_ns - first),
        peak_reserved_bytes=int(curve.peak_reserved_bytes),
        allocations=int(curve.allocations),
        frees=int(curve.frees),
        churn_bytes=int(curve.churn_bytes),
        allocations_per_step=curve.allocations_per_step,
        churn_bytes_per_step=curve.churn_bytes_per_step,
        device_mallocs=int(curve.device_mallocs),
        device_frees=int(curve.device_frees),
        device_malloc_us=us(curve.device_malloc_ns),
        steps_us=[us(ns - first) for ns in marks_ns.tolist()] if len(marks_ns) <= MOST_MARKS else [],
    )


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 3)


def _rounded(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None

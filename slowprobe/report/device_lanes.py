"""One step as rows of a timeline: what the host threads did, what ran on each stream, why nothing ran."""

from __future__ import annotations

import re

import numpy as np

from slowprobe.report.device_words import HOST_STATES, class_part, host_part, idle_part
from slowprobe.report.timeline_cells import Layer, flattened, painted
from slowprobe.report.timeline_lanes import Names, Row, shifted, with_python
from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.idle import IDLE_CAUSES
from slowprobe.timeline.device.intervals import Cover
from slowprobe.timeline.device.rows import KINDS
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

PARTS = (*map(class_part, CLASSES), "copy", *map(idle_part, IDLE_CAUSES), *map(host_part, HOST_STATES))
PART = {part: number for number, part in enumerate(PARTS)}

_MOST_THREADS = 4
_MOST_STREAMS = 6
_BACKWARD = re.compile(r"^autograd::engine|Backward\d*$")


def step_rows(trace: Trace, facts: DeviceFacts, start_ns: int, end_ns: int, names: Names) -> list[Row]:
    """All rows of the stretch: host threads, streams, idle gaps by cause; those without anything are left out."""
    rows = [
        *_host_rows(trace, facts, start_ns, end_ns, names),
        *_stream_rows(trace, facts, start_ns, end_ns, names),
        _idle_row(facts, start_ns, end_ns, names),
    ]
    return [Row(row.kind, row.label, shifted(row.stretches, start_ns)) for row in rows if len(row.stretches)]


def _host_rows(trace: Trace, facts: DeviceFacts, start_ns: int, end_ns: int, names: Names) -> list[Row]:
    host = Host(trace)
    inside = (trace.start_ns < end_ns) & (trace.end_ns > start_ns)
    marks = {"framework": host.operators | host.runtime, "data": host.data, "launch": host.launches}
    marks |= {"sync": host.syncs, "allocator": host.allocator}
    threads = _threads(facts, host, inside & (host.operators | host.runtime | host.data))
    rows = []
    for place, tid in enumerate(threads):
        mine = inside & (trace.tid == tid)
        layers = [_layer(trace, state, np.flatnonzero(mine & mark), names) for state, mark in marks.items()]
        shown = painted(layers, start_ns, end_ns)
        if place == 0:
            others = inside & host.operators & np.isin(trace.tid, threads[1:])
            shown = with_python(
                shown, PART[host_part("python")], Cover(trace.start_ns[others], trace.ends_of(others)), start_ns, end_ns
            )
        rows.append(Row("host", _thread_label(host, tid, place), shown))
    return rows


def _layer(trace: Trace, state: str, rows: Ints, names: Names) -> Layer:
    """The outermost of these rows of one thread."""
    ends = trace.ends_of(rows)
    outer = rows[ends > np.concatenate(([-1], np.maximum.accumulate(ends)[:-1]))] if len(rows) else rows
    text = np.array([names.number(trace.names[i]) for i in trace.name_id[outer].tolist()], dtype=np.int64)
    return Layer(PART[host_part(state)], trace.start_ns[outer], trace.ends_of(outer), text)


def _threads(facts: DeviceFacts, host: Host, active: Bools) -> list[int]:
    """The loop's own thread first, then those that launch, the busiest first."""
    trace = host.trace
    launching = [tid for tid in facts.host.launch_threads if tid != MISSING]
    marks = (
        host.annotations & np.isin(trace.start_ns, facts.steps.start_ns),
        host.data,
        host.annotations & trace.matches(lambda name: name.startswith("Optimizer.")),
    )
    loop: list[int] = next((trace.tid[mark][:1].tolist() for mark in marks if mark.any()), [])
    there = set(np.unique(trace.tid[active]).tolist())
    return [tid for tid in dict.fromkeys([*loop, *launching]) if tid in there][:_MOST_THREADS]


def _thread_label(host: Host, tid: int, place: int) -> str:
    trace = host.trace
    if place == 0:
        return "Main thread"
    mine = (trace.tid == tid) & host.operators
    if (mine & trace.matches(lambda name: bool(_BACKWARD.search(name)))).any():
        return "Autograd thread"
    named = re.sub(r"^thread \d+ ?", "", trace.thread_names.get(tid, "")).strip("() ")
    return f"Thread {named}" if named and not re.fullmatch(r"python[\d.]*", named) else f"Thread {tid}"


def _stream_rows(trace: Trace, facts: DeviceFacts, start_ns: int, end_ns: int, names: Names) -> list[Row]:
    rows = facts.rows
    inside = np.flatnonzero((rows.start_ns < end_ns) & (rows.end_ns > start_ns))
    kind = rows.kind[inside]
    part = rows.class_id[inside].astype(np.int64)  # PARTS begins with the classes
    for name in ("communication", "copy"):
        part[kind == KINDS.index(name)] = PART[name]
    starts, ends, stream = rows.start_ns[inside], rows.end_ns[inside], rows.stream[inside]
    text = np.array([names.number(trace.names[i]) for i in trace.name_id[rows.row[inside]].tolist()], dtype=np.int64)
    busy = {int(each): int((ends - starts)[stream == each].sum()) for each in np.unique(stream)}
    ranked = sorted(busy, key=lambda each: (-busy[each], each))
    own = ranked[:_MOST_STREAMS] if len(ranked) > _MOST_STREAMS + 1 else ranked
    groups = [(f"Stream {each}" if each >= 0 else "No stream", stream == each) for each in sorted(own)]
    if len(own) < len(ranked):
        groups.append((f"{len(ranked) - len(own)} more streams", ~np.isin(stream, own)))
    return [
        Row("stream", label, flattened(starts[on], ends[on], part[on], text[on], start_ns, end_ns))
        for label, on in groups
    ]


def _idle_row(facts: DeviceFacts, start_ns: int, end_ns: int, names: Names) -> Row:
    gaps = facts.gaps
    sites = np.array([names.number(site) for site in gaps.site], dtype=np.int64)
    layers = []
    for cause, reach in zip(IDLE_CAUSES, gaps.reach, strict=True):
        owner = np.searchsorted(gaps.start_ns, reach.start, side="right") - 1
        known = (owner >= 0) & (reach.start < gaps.end_ns[np.maximum(owner, 0)]) if len(gaps) else owner >= 0
        text = np.where(known, sites[np.maximum(owner, 0)], -1) if len(gaps) else np.full(len(owner), -1)
        layers.append(Layer(PART[idle_part(cause)], reach.start, reach.end, text))
    return Row("idle", "Device idle, by cause", painted(layers, start_ns, end_ns))

"""One typical step of a device trace, reduced to what a browser draws smoothly."""

from __future__ import annotations

import numpy as np

from slowprobe.report.device_lanes import PARTS, step_rows
from slowprobe.report.timeline_document import Gap, StepTimeline, us
from slowprobe.report.timeline_lanes import Names, timeline_of
from slowprobe.report.untrusted import clean
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.idle import IDLE_CAUSES
from slowprobe.timeline.device.intervals import Cover
from slowprobe.trace.reader import MISSING, Trace

MOST_GAPS = 8
WORTH_A_ROW = 0.0005  # of the step
QUEUE_POINTS = 200


def typical(facts: DeviceFacts) -> int:
    """The step of median length, of several the earliest; of steps in which the recording of the device had begun."""
    spans = np.array([partition.span_ns for partition in facts.step_partitions])
    whole = (facts.steps.start_ns >= facts.span_start_ns) & (facts.steps.end_ns <= facts.span_end_ns)
    spans_of = spans[whole] if whole.any() else spans
    median = np.sort(spans_of)[(len(spans_of) - 1) // 2]
    return int(np.flatnonzero((spans == median) & (whole | ~whole.any()))[0])


def step_timeline(trace: Trace, facts: DeviceFacts) -> StepTimeline:
    """The typical step; the whole recording where nothing marks steps."""
    steps = facts.steps
    if len(steps):
        place = typical(facts)
        start_ns, end_ns = int(steps.start_ns[place]), int(steps.end_ns[place])
        label = f"step {int(steps.number[place])}"
    else:
        start_ns, end_ns, label = facts.span_start_ns, facts.span_end_ns, "the whole recording"
    names = Names()
    rows = step_rows(trace, facts, start_ns, end_ns, names)
    shown = timeline_of(label, rows, PARTS, names, end_ns - start_ns)
    shown.gaps, shown.gaps_left_out = _gaps(trace, facts, start_ns, end_ns)
    shown.queue_us, shown.queue_depth = _queue(facts, start_ns, end_ns)
    return shown


def _gaps(trace: Trace, facts: DeviceFacts, start_ns: int, end_ns: int) -> tuple[list[Gap], int]:
    gaps, reach = facts.gaps, facts.gaps.reach
    idle = Cover(*(np.concatenate([getattr(cover, side) for cover in reach]) for side in ("start", "end")))
    starts, ends = np.maximum(idle.start, start_ns), np.minimum(idle.end, end_ns)
    inside = np.flatnonzero(ends > starts)
    longest = inside[np.argsort(starts[inside] - ends[inside], kind="stable")][:MOST_GAPS]
    longest = longest[ends[longest] - starts[longest] >= WORTH_A_ROW * (end_ns - start_ns)]
    cause = np.argmax([cover.within(starts[longest], ends[longest]) for cover in reach], axis=0)
    place = {start: number for number, start in enumerate(gaps.start_ns.tolist())}
    told = []
    for i, by in zip(longest.tolist(), cause.tolist(), strict=True):
        number = place.get(int(idle.start[i]))  # none before the first row of the device and after its last
        drain = MISSING if number is None else int(gaps.sync_row[number])
        told.append(
            Gap(
                start_us=us(int(starts[i]) - start_ns),
                us=us(int(ends[i] - starts[i])),
                cause=IDLE_CAUSES[by],
                drained_by=trace.names[trace.name_id[drain]] if drain != MISSING else "",
                site=clean(gaps.site[number], 300) if number is not None else "",
            )
        )
    return told, len(inside) - len(longest)


def _queue(facts: DeviceFacts, start_ns: int, end_ns: int) -> tuple[list[float], list[int]]:
    """The deepest the queue was in each of many equal stretches."""
    queue = facts.queue
    if not len(queue.time_ns):
        return [], []
    edges = np.unique(np.linspace(start_ns, end_ns, QUEUE_POINTS + 1).astype(np.int64))[:-1]
    before = np.searchsorted(queue.time_ns, edges, side="right") - 1
    after = np.append(before[1:], np.searchsorted(queue.time_ns, end_ns, side="left") - 1)
    depth = np.concatenate(([0], queue.depth))  # nothing is queued before the first time
    deepest = [int(depth[a + 1 : max(a, b) + 2].max()) for a, b in zip(before.tolist(), after.tolist(), strict=True)]
    return [us(ns) for ns in (edges - start_ns).tolist()], deepest

"""Compute, exposed communication, exposed copies and idle add up to the span: against counting every ns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from small_traces import device_rows_of

from slowprobe.timeline.device.partition import BusyTime, device_partition
from slowprobe.timeline.device.rows import KINDS

LENGTH = 60
time = st.integers(0, LENGTH)
row = st.tuples(st.sampled_from(KINDS), time, time, st.sampled_from(["matmul", "elementwise", "other"]))
stretch = st.tuples(time, time).map(lambda pair: (min(pair), max(pair)))


def rows_of(drawn):
    ordered = sorted(((kind, min(a, b), max(a, b), name) for kind, a, b, name in drawn), key=lambda each: each[1])
    return ordered, device_rows_of([each[:3] for each in ordered], [each[3] for each in ordered])


@given(st.lists(row, max_size=15), stretch)
def test_partition_of_any_rows_in_any_stretch(drawn, bounds):
    ordered, rows = rows_of(drawn)
    by = dict.fromkeys([*KINDS, "idle"], 0)
    union = dict.fromkeys(KINDS, 0)
    classes: dict[str, int] = {}
    for t in range(*bounds):
        running = [each for each in ordered if each[1] <= t < each[2]]
        kinds = {each[0] for each in running}
        by[next((kind for kind in KINDS if kind in kinds), "idle")] += 1
        for kind in kinds:
            union[kind] += 1
        computing = next((each[3] for each in running if each[0] == "compute"), None)
        if computing:
            classes[computing] = classes.get(computing, 0) + 1
    part = device_partition(rows, *bounds)
    assert part.span_ns == bounds[1] - bounds[0]
    assert (part.compute_ns, part.exposed_communication_ns, part.exposed_copy_ns, part.idle_ns) == tuple(by.values())
    assert (part.compute_ns, part.communication_ns, part.copy_ns) == tuple(union.values())
    assert part.by_class == classes
    assert part.busy_ns == part.span_ns - part.idle_ns


@given(st.lists(row, max_size=15))
def test_what_rows_show_of_themselves_adds_up_to_busy_time(drawn):
    ordered, rows = rows_of(drawn)
    busy = BusyTime(rows)
    whole = busy.partition(0, LENGTH)
    shown = busy.exposed_ns(rows)
    assert (shown >= 0).all() and (shown <= rows.end_ns - rows.start_ns).all()
    sums = [int(shown[rows.kind == kind].sum()) for kind in range(len(KINDS))]
    assert sums == [whole.compute_ns, whole.exposed_communication_ns, whole.exposed_copy_ns]


@given(st.lists(row, max_size=15), st.lists(time, min_size=2, max_size=6))
def test_stretches_side_by_side_add_up_to_the_whole(drawn, marks):
    _, rows = rows_of(drawn)
    marks = sorted(marks)
    busy = BusyTime(rows)
    parts = [busy.partition(start, end) for start, end in zip(marks[:-1], marks[1:], strict=True)]
    whole = busy.partition(marks[0], marks[-1])
    for name in ("span_ns", "idle_ns", "compute_ns", "exposed_communication_ns", "exposed_copy_ns"):
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name)


def test_hidden_communication_is_not_exposed():
    rows = device_rows_of([("compute", 0, 100), ("communication", 50, 150), ("copy", 120, 180), ("copy", 300, 400)])
    part = device_partition(rows, 0, 400)
    assert (part.compute_ns, part.communication_ns, part.copy_ns) == (100, 100, 160)
    assert (part.exposed_communication_ns, part.exposed_copy_ns, part.idle_ns) == (50, 130, 120)
    assert BusyTime(rows).exposed_ns(rows).tolist() == [100, 50, 30, 100]


def test_no_rows_are_all_idle():
    part = device_partition(device_rows_of([]), 5, 9)
    assert (part.span_ns, part.idle_ns, part.by_class) == (4, 4, {})
    assert np.array_equal(BusyTime(device_rows_of([])).exposed_ns(device_rows_of([])), [])

"""Steps by the best marks a trace has; what is left out is named."""

from __future__ import annotations

import pytest
from small_traces import SmallTrace

from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.device.steps import trace_steps
from slowprobe.trace.reader import read_trace

REQUEST = "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"


def steps_of(small, tmp_path):
    trace = small.read(tmp_path)
    return trace_steps(trace, device_rows(trace))


def test_marks_and_their_copies_on_the_device(tmp_path):
    small = SmallTrace()
    for number in (5, 6):
        at = number * 100
        small.step(number, at, 90)
        small.host(f"ProfilerStep#{number}", at + 20, 90, "gpu_user_annotation", tid=7, stream=7)
        small.launch("k", (at + 5, 2), (at + 30, 10))
    steps = steps_of(small, tmp_path)
    assert (steps.basis, steps.number.tolist(), steps.left_out) == ("ProfilerStep", [5, 6], ())
    assert steps.start_ns.tolist() == [500_000, 600_000] and steps.end_ns.tolist() == [590_000, 690_000]


def test_our_own_marks_come_before_the_profilers(tmp_path):
    small = SmallTrace()
    small.host("ProfilerStep#1", 0, 1000)
    for at in (0, 500):
        small.host("slowprobe.step", at, 400)
        small.launch("k", (at + 5, 2), (at + 30, 10))
    steps = steps_of(small, tmp_path)
    assert (steps.basis, steps.number.tolist()) == ("slowprobe.step", [0, 1])


def test_a_mark_without_work_is_left_out_by_name(tmp_path):
    small = SmallTrace()
    small.step(1, 0, 90)
    small.launch("k", (5, 2), (30, 10))
    small.step(2, 100, 1)
    small.launch("k", (120, 2), (130, 10))
    steps = steps_of(small, tmp_path)
    assert steps.number.tolist() == [1]
    assert "ProfilerStep#2 launched nothing" in steps.left_out[0]
    assert "1 launch came after the last whole step." in steps.left_out


def test_requests_for_data_mark_steps_where_nothing_else_does(tmp_path):
    small = SmallTrace()
    for at in (0, 100, 200):
        small.host(REQUEST, at, 20, "user_annotation")
        small.launch("k", (at + 30, 2), (at + 40, 10))
    steps = steps_of(small, tmp_path)
    assert (steps.basis, steps.start_ns.tolist(), steps.end_ns.tolist()) == (
        "dataloader",
        [0, 100_000],
        [100_000, 200_000],
    )
    assert steps.left_out


def test_accumulated_batches_are_one_step(tmp_path):
    small = SmallTrace()
    for at in range(0, 600, 100):
        small.host(REQUEST, at, 20, "user_annotation")
        small.launch("k", (at + 30, 2), (at + 40, 10))
        if at % 200:
            small.host("Optimizer.step#SGD.step", at + 60, 20, "user_annotation")
    assert steps_of(small, tmp_path).start_ns.tolist() == [0, 200_000]


def test_optimizer_steps_where_there_is_no_loader(tmp_path):
    small = SmallTrace()
    for at in (0, 100, 200):
        small.launch("k", (at + 30, 2), (at + 40, 10))
        small.host("Optimizer.step#Adam.step", at + 60, 20, "user_annotation")
        small.host("Optimizer.step#SGD.step", at + 85, 5, "user_annotation")  # a second optimizer makes no second step
    steps = steps_of(small, tmp_path)
    assert (steps.basis, len(steps)) == ("optimizer", 2)


@pytest.mark.parametrize("marks", [0, 1])
def test_without_marks_there_are_no_steps_and_that_is_said(tmp_path, marks):
    small = SmallTrace()
    for i in range(marks):
        small.host(REQUEST, i, 1, "user_annotation")
    small.launch("k", (5, 2), (30, 10))
    steps = steps_of(small, tmp_path)
    assert (steps.basis, len(steps)) == ("none", 0)
    assert "no steps" in steps.left_out[0]


def test_the_last_step_of_a_damaged_file_is_left_out(tmp_path):
    small = SmallTrace()
    for number in (1, 2):
        small.step(number, number * 100, 90)
        small.launch("k", (number * 100 + 5, 2), (number * 100 + 30, 10))
    small.host("aten::add", 250, 5)
    trace = small.read(tmp_path)
    text = trace.path.read_text()
    trace.path.write_text(text[:-3])
    steps = steps_of_file(trace.path)
    assert steps.number.tolist() == [1]
    assert "ProfilerStep#2 is cut off" in steps.left_out[0]


def steps_of_file(path):
    trace = read_trace(path)
    assert trace.warnings
    return trace_steps(trace, device_rows(trace))

"""Each ns of idle goes to one cause; synchronising calls that drain the queue are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_traces import BACKWARD, SmallTrace

from slowprobe.timeline.device.claims import FULL_DEPTH
from slowprobe.timeline.device.idle import IDLE_CAUSES, idle_gaps
from slowprobe.timeline.device.partition import device_partition
from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.device.steps import trace_steps
from slowprobe.timeline.device.syncs import sync_table
from slowprobe.trace.reader import MISSING

REQUEST = "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"


def gaps_of(small, tmp_path):
    trace = small.read(tmp_path)
    rows = device_rows(trace)
    steps = trace_steps(trace, rows)
    gaps = idle_gaps(trace, rows, steps)
    for start, end in zip(steps.start_ns.tolist(), steps.end_ns.tolist(), strict=True):
        assert sum(gaps.between(start, end).values()) == device_partition(rows, start, end).idle_ns
    span = int(rows.start_ns.min()), int(rows.end_ns.max())
    assert gaps.total_ns == sum(gaps.by_cause.values()) == device_partition(rows, *span).idle_ns
    assert gaps.between(*span) == {cause: ns for cause, ns in gaps.by_cause.items() if ns}
    return trace, gaps


def us(gaps):
    return {cause: ns / 1000 for cause, ns in gaps.by_cause.items() if ns}


def test_waiting_for_data(tmp_path):
    small = SmallTrace()
    small.step(1, 0, 1000)
    small.launch("k", (0, 5), (10, 90))
    small.host(REQUEST, 50, 500, "user_annotation")
    small.launch("k", (600, 10), (620, 80))
    _, gaps = gaps_of(small, tmp_path)
    # idle 100–620: data to 550, Python to 600, the launch call to 610, then on its way to the device.
    assert us(gaps) == {"data": 450, "python": 50, "launch": 20}
    assert [IDLE_CAUSES[number] for number in gaps.cause] == ["data"]
    assert gaps.site == (REQUEST,)
    assert gaps.sync_row.tolist() == [MISSING] and gaps.drained_ns == 0
    assert gaps.queued_ns.tolist() == [10_000]


def test_a_sync_drains_the_queue_and_python_follows(tmp_path):
    small = SmallTrace()
    small.host("train.py(3): main", 0, 1000, "python_function")
    small.host("torch/nn/modules/module.py(1): _call_impl", 40, 700, "python_function")
    small.launch("k", (0, 5), (10, 90))
    small.host("aten::item", 50, 52)
    small.host("aten::_local_scalar_dense", 51, 50)
    small.call("cudaStreamSynchronize", 52, 50)
    small.launch("k", (300, 10), (310, 80))
    trace, gaps = gaps_of(small, tmp_path)
    # The call returns 2 µs after the device is done: that is nobody's work.
    assert us(gaps) == {"other": 2, "python": 198, "launch": 10}
    assert trace.names[trace.name_id[gaps.sync_row[0]]] == "cudaStreamSynchronize"
    assert gaps.drained_ns == 210_000
    assert gaps.site == ("train.py(3): main",)
    (stat,) = sync_table(trace, gaps)
    assert (stat.name, stat.count, stat.total_ns, stat.drained_ns) == ("cudaStreamSynchronize", 1, 50_000, 210_000)
    assert (stat.op, stat.line) == ("aten::item", "train.py(3): main")


def test_a_sync_behind_which_work_is_queued_drains_nothing(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 5), (10, 90))
    small.launch("k", (6, 5), (102, 90), stream=8)
    small.call("cudaEventSynchronize", 12, 100)
    trace, gaps = gaps_of(small, tmp_path)
    assert us(gaps) == {"launch": 2} and gaps.queued_ns.tolist() == [2_000]
    assert gaps.drained_ns == 0
    assert sync_table(trace, gaps)[0].drained_ns == 0


def test_kernels_without_a_launch_that_begin_in_a_sync_were_queued(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 5), (10, 90))
    small.call("cudaDeviceSynchronize", 12, 200)
    small.device("k", 103, 90)
    small.device("k", 195, 16)
    small.launch("k", (300, 5), (306, 10))
    trace, gaps = gaps_of(small, tmp_path)
    assert us(gaps) == {"launch": 3 + 2 + 6, "other": 1, "python": 88}
    assert gaps.drained_ns == 95_000
    assert sync_table(trace, gaps)[0].drained_ns == 95_000


def test_a_copy_that_the_host_waits_for_drains_like_a_sync(tmp_path):
    small = SmallTrace()
    small.host("aten::to", 0, 102)
    copy = {"cat": "gpu_memcpy", "api": "cudaMemcpyAsync"}
    small.launch("Memcpy DtoH (Device -> Pageable)", (5, 96), (10, 90), **copy)
    small.launch("k", (200, 10), (215, 10))
    small.launch("Memcpy HtoD (Pinned -> Device)", (230, 2), (235, 50), **copy)
    small.launch("k", (300, 10), (315, 10))
    trace, gaps = gaps_of(small, tmp_path)
    assert [int(row) >= 0 for row in gaps.sync_row] == [True, False, False]
    (stat,) = sync_table(trace, gaps)
    assert (stat.name, stat.op, stat.count, stat.drained_ns) == ("cudaMemcpyAsync", "aten::to", 1, 115_000)


def test_the_allocator(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 5), (10, 10))
    small.host("aten::empty", 20, 60)
    small.call("cudaMalloc", 25, 50)
    small.launch("k", (90, 10), (105, 10))
    _, gaps = gaps_of(small, tmp_path)
    assert us(gaps) == {"python": 20, "allocator": 50, "launch": 15}
    assert IDLE_CAUSES[gaps.cause[0]] == "allocator"
    assert gaps.site == ("aten::empty",)


def test_between_marked_steps_is_off_step(tmp_path):
    small = SmallTrace()
    small.step(1, 0, 100)
    small.launch("k", (0, 5), (10, 90))
    small.call("cudaDeviceSynchronize", 20, 81)
    small.step(2, 500, 100)
    small.launch("k", (520, 5), (530, 60))
    _, gaps = gaps_of(small, tmp_path)
    assert us(gaps) == {"off_step": 400, "python": 20, "launch": 10}
    assert gaps.drained_ns == 430_000
    assert gaps.drained_between(0, 200_000) == 100_000


def test_a_gap_before_backward_is_judged_by_the_thread_that_launches(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 5), (10, 10))
    small.host("autograd::engine::evaluate_function: MulBackward0", 30, 100, tid=BACKWARD)
    small.launch("k", (120, 5), (130, 10), tid=BACKWARD)
    _, gaps = gaps_of(small, tmp_path)
    assert gaps.site == ("autograd::engine::evaluate_function: MulBackward0",)
    assert us(gaps) == {"python": 100, "launch": 10}


def test_what_nobody_does_anything_in_before_a_launch(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 5), (10, 10))
    small.host("aten::relu", 100, 10)
    small.launch("k", (102, 5), (110, 10))
    _, gaps = gaps_of(small, tmp_path)
    assert gaps.site == ("before aten::relu",)


def test_a_full_queue(tmp_path):
    small = SmallTrace()
    count = FULL_DEPTH + 10
    start = count * 2
    for i in range(count):
        small.launch("k", (i * 2, 1), (start + i * 10, 9))
    small.launch("k", (count * 2, 100), (start + count * 10, 9))  # returns only when there is room again
    _, gaps = gaps_of(small, tmp_path)
    assert us(gaps)["queue_full"] == 10, "of 100 µs, nine in ten are busy"
    assert gaps.by_cause["launch"] == gaps.total_ns - 10_000


def test_gaps_are_of_the_whole_device(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 5), (10, 100))
    small.launch("k", (5, 5), (20, 5), stream=8)
    small.launch("k", (10, 5), (90, 30), stream=8)
    _, gaps = gaps_of(small, tmp_path)
    assert len(gaps) == 0 and gaps.drained_ns == 0


def test_without_runtime_calls_reading_a_scalar_is_the_sync(tmp_path):
    small = SmallTrace()
    small.device("k", 10, 90)
    small.host("aten::_local_scalar_dense", 50, 51)
    small.host("aten::add", 200, 5)
    small.device("k", 210, 10)
    trace, gaps = gaps_of(small, tmp_path)
    assert trace.names[trace.name_id[gaps.sync_row[0]]] == "aten::_local_scalar_dense"


@pytest.mark.parametrize("basis", ["ProfilerStep#1", "none"])
@given(
    st.lists(
        st.tuples(st.integers(0, 80), st.integers(1, 10), st.integers(0, 20), st.integers(1, 15)),
        min_size=1,
        max_size=8,
    ),
    st.lists(
        st.tuples(
            st.sampled_from([REQUEST, "cudaStreamSynchronize", "cudaMalloc", "aten::add"]),
            st.integers(0, 90),
            st.integers(1, 30),
        )
    ),
)
def test_causes_of_any_trace_add_up(tmp_path_factory, basis, launches, calls):
    small = SmallTrace()
    if basis != "none":
        small.host(basis, 20, 50, "user_annotation")
    for at, length, delay, run in launches:
        small.launch("k", (at, length), (at + delay, run))
    for name, at, length in calls:
        small.host(name, at, length, "cuda_runtime" if name.startswith("cuda") else "cpu_op")
    trace, gaps = gaps_of(small, tmp_path_factory.mktemp("idle"))
    assert len(gaps.site) == len(gaps.cause) == len(gaps.sync_row) == len(gaps)
    inside = np.searchsorted(gaps.start_ns, gaps.segment_start_ns, side="right") - 1
    lengths = np.bincount(inside, gaps.segment_end_ns - gaps.segment_start_ns, len(gaps))
    assert lengths.tolist() == (gaps.end_ns - gaps.start_ns).tolist()
    assert sum(stat.drained_ns for stat in sync_table(trace, gaps)) == gaps.drained_ns

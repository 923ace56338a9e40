"""Which rows are the device's, what they are, and what launched them."""

from __future__ import annotations

import numpy as np
from small_traces import SmallTrace

from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.facts import device_facts
from slowprobe.timeline.device.queue import launch_queue
from slowprobe.timeline.device.rows import COPIES, KINDS, device_rows
from slowprobe.trace.reader import MISSING


def kinds(rows):
    return [KINDS[kind] for kind in rows.kind]


def test_rows_are_selected_by_category_not_by_having_a_stream(tmp_path):
    small = SmallTrace()
    small.host("triton_poi_fused_add_0", 0, 50, stream=7)  # an operator of compiled code
    small.host("Stream Wait Event", 0, 50, "cuda_sync", stream=7)
    small.host("ProfilerStep#1", 0, 50, "gpu_user_annotation", stream=7)
    small.launch("triton_poi_fused_add_0", (1, 2), (5, 10))
    small.launch("Memset (Device)", (4, 1), (16, 1), cat="gpu_memset", api="cudaMemsetAsync")
    small.launch("Memcpy DtoH (Device -> Pageable)", (6, 1), (18, 1), cat="gpu_memcpy", api="cudaMemcpyAsync", bytes=64)
    rows = device_rows(small.read(tmp_path))
    assert rows.start_ns.tolist() == [5_000, 16_000, 18_000]
    assert kinds(rows) == ["compute", "compute", "copy"]
    assert [CLASSES[number] for number in rows.class_id] == ["elementwise", "memset", "copy"]
    assert [COPIES[number] for number in rows.copy_kind] == ["none", "none", "d2h_pageable"]


def test_kernels_without_a_launch_are_counted_and_reported(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 2), (10, 5))
    small.device("k", 20, 5, correlation=0)
    small.device("k", 30, 5, correlation=12345)
    trace = small.read(tmp_path)
    rows = device_rows(trace)
    assert (rows.launch == MISSING).tolist() == [False, True, True]
    assert launch_queue(trace, rows).unlaunched == 2
    facts = device_facts(trace)
    assert facts.partition.compute_ns == 15_000 and facts.kernels[0].count == 3
    assert any("2 of 3 device rows have no launch" in warning for warning in facts.warnings)


def test_one_graph_launch_launches_many_kernels(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 2), (10, 5), api="cudaGraphLaunch")
    small.device("k", 16, 5, correlation=1)
    rows = device_rows(small.read(tmp_path))
    assert rows.launch.tolist() == [0, 0]


def test_the_launching_operator_by_nesting_and_without_a_launch_by_external_id(tmp_path):
    small = SmallTrace()
    small.host("aten::linear", 0, 20, **{"External id": 3})
    small.host("aten::addmm", 1, 10, **{"External id": 4})
    small.launch("k", (2, 2), (30, 5), **{"External id": 3})  # of another counter, as in some traces
    small.device("k", 40, 5, **{"External id": 3})
    trace = small.read(tmp_path)
    names = [trace.names[trace.name_id[row]] for row in device_rows(trace).operator]
    assert names == ["aten::addmm", "aten::linear"]


def test_communication_by_the_collective_that_launched_it(tmp_path):
    small = SmallTrace()
    small.host("c10d::allgather_", 0, 50)
    small.host("record_param_comms", 2, 10)
    small.launch("our_own_transfer", (4, 2), (60, 10), stream=20)
    small.host("aten::copy_", 20, 10)
    small.launch("void at::native::unrolled_elementwise_kernel<direct_copy_kernel_cuda>", (22, 2), (75, 5))
    small.launch("ncclDevKernel_AllGather_RING_LL", (100, 2), (110, 10), stream=20)
    rows = device_rows(small.read(tmp_path))
    assert kinds(rows) == ["communication", "compute", "communication"], (
        "a copy inside a collective is no communication"
    )


def test_kernels_inside_optimizer_step_are_the_optimizers(tmp_path):
    small = SmallTrace()
    small.host("Optimizer.step#SGD.step", 0, 50, "user_annotation")
    small.host("aten::add_", 2, 10)
    small.launch("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<float>>", (4, 2), (60, 10))
    small.host("aten::add_", 52, 10)
    small.launch("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<float>>", (54, 2), (80, 10))
    assert [CLASSES[number] for number in device_rows(small.read(tmp_path)).class_id] == ["optimizer", "elementwise"]


def test_copies_by_direction_and_host_memory(tmp_path):
    small = SmallTrace()
    names = [
        "Memcpy HtoD (Pageable -> Device)",
        "Memcpy HtoD (Pinned -> Device)",
        "Memcpy HtoD (Host -> Device)",
        "Memcpy DtoH (Device -> Pinned)",
        "Memcpy DtoD (Device -> Device)",
        "Memcpy PtoP (Device -> Device)",
        "Memcpy HtoA (Host -> Array)",
    ]
    for i, name in enumerate(names):
        small.device(name, i * 10, 5, cat="gpu_memcpy")
    found = [COPIES[number] for number in device_rows(small.read(tmp_path)).copy_kind]
    assert found == ["h2d_pageable", "h2d_pinned", "h2d", "d2h_pinned", "d2d", "p2p", "other"]


def test_a_trace_without_device_activity_has_no_facts(tmp_path):
    small = SmallTrace()
    small.host("aten::add", 0, 5)
    trace = small.read(tmp_path)
    assert len(device_rows(trace)) == 0
    assert device_facts(trace) is None


def test_device_rows_alone(tmp_path):
    small = SmallTrace()
    small.device("k", 10, 0)  # shorter than the clock's tick
    small.device("k", 20, 5)
    small.device("k", 40, 5)
    small.device("k", 50, 0)
    facts = device_facts(small.read(tmp_path))
    assert (facts.partition.span_ns, facts.partition.busy_ns) == (40_000, 10_000)
    assert facts.gaps.by_cause["other"] == facts.gaps.total_ns == 30_000, "nothing is known of the host"
    assert facts.gaps.site == ("", "", "")
    assert (facts.host.launch_thread, facts.host.launches_per_step, facts.queue.unlaunched) == (MISSING, 0, 4)
    assert facts.kernels[0].count == 4


def test_facts_are_of_the_busiest_device_and_name_the_others(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 2), (10, 5))
    small.launch("k", (3, 2), (10, 50), device=1)
    facts = device_facts(small.read(tmp_path))
    assert (facts.device, facts.devices) == (1, (0, 1))
    assert facts.partition.busy_ns == 50_000
    assert any("device 0" in warning for warning in facts.warnings)


def test_the_queue_over_time(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 2), (10, 10))
    small.launch("k", (3, 2), (20, 10))
    small.launch("k", (6, 20), (25, 10))  # starts before its launch call returns
    trace = small.read(tmp_path)
    queue = launch_queue(trace, device_rows(trace))
    assert queue.delay_ns.tolist() == [8_000, 15_000, -1_000]
    assert queue.time_ns.tolist() == [2_000, 5_000, 10_000, 20_000]
    assert queue.depth.tolist() == [1, 2, 1, 0]
    assert queue.depth_at(np.array([0, 2_000, 7_000, 10_000, 99_000])).tolist() == [0, 1, 2, 1, 0]

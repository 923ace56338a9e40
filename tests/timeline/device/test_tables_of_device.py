"""Tables of kernels, copies, collectives and memory, and what the host did for a step."""

from __future__ import annotations

import pytest
from small_traces import BACKWARD, MAIN, SmallTrace

from slowprobe.timeline.device.copies import copy_table
from slowprobe.timeline.device.facts import device_facts
from slowprobe.timeline.device.hardware import hardware
from slowprobe.timeline.device.host import is_own_line
from slowprobe.timeline.device.kernels import kernel_table
from slowprobe.timeline.device.memory import memory_curve
from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.device.steps import trace_steps
from slowprobe.trace.reader import MISSING


def test_statistics_of_a_kernel_are_over_its_launches(tmp_path):
    small = SmallTrace()
    for i, run in enumerate((1, 2, 3, 94)):
        small.host("aten::mm" if i else "aten::addmm", i * 200, 10)
        small.launch("volta_sgemm_128x64_nn", (i * 200, 2), (i * 200 + 10, run))
    small.launch("k", (900, 2), (950, 100))
    small.launch("Memset (Device)", (960, 2), (1060, 9), cat="gpu_memset")
    trace = small.read(tmp_path)
    first, second = kernel_table(trace, device_rows(trace))
    assert (first.name, first.count, first.total_ns) in {("k", 1, 100_000), ("volta_sgemm_128x64_nn", 4, 100_000)}
    gemm = first if first.count == 4 else second
    assert (gemm.mean_ns, gemm.median_ns, gemm.longest_ns, gemm.share) == (25_000, 2_500, 94_000, 0.5)
    assert (gemm.class_name, gemm.tensor_cores, gemm.ops) == ("matmul", False, ("aten::mm", "aten::addmm"))


def test_copies_by_kind_and_place(tmp_path):
    small = SmallTrace()
    api = {"cat": "gpu_memcpy", "api": "cudaMemcpyAsync"}
    small.host("train.py(9): step", 0, 500, "python_function")
    small.host("aten::to", 0, 30)
    small.host("aten::copy_", 2, 20)
    small.launch("Memcpy HtoD (Pageable -> Device)", (5, 10), (6, 20), bytes=4096, **api)
    small.launch("k", (40, 5), (50, 100))
    small.launch("Memcpy HtoD (Pageable -> Device)", (60, 10), (140, 20), bytes=1000, **api)
    trace = small.read(tmp_path)
    stats = copy_table(trace, device_rows(trace))
    assert [(s.op, s.count, s.total_ns, s.exposed_ns, s.size_bytes) for s in stats] == [
        ("aten::to", 1, 20_000, 20_000, 4096),
        (None, 1, 20_000, 10_000, 1000),
    ]
    assert {(s.kind, s.site) for s in stats} == {("h2d_pageable", "train.py(9): step")}


def test_collectives_of_today_and_of_2023(tmp_path):
    small = SmallTrace()
    told = {"Collective name": "allreduce", "dtype": "BFloat16", "In msg nelems": 1000, "Process Group Name": "tp"}
    small.host("record_param_comms", 0, 10, **told)
    small.launch("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevComm*)", (2, 2), (10, 50), stream=20)
    small.launch("k", (15, 2), (40, 30))
    small.host("nccl:all_reduce", 100, 10, "user_annotation", **{"Input Dims": [[50, 2]]})
    small.launch("ncclKernel_AllReduce_RING_LL_Sum_float(ncclWorkElem)", (102, 2), (110, 50), stream=20)
    small.host("nccl:all_to_all", 200, 10, "user_annotation", **{"Input Dims": [[50, 2]]})
    small.launch("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclWorkElem)", (202, 2), (210, 20), stream=20)
    facts = device_facts(small.read(tmp_path))
    found = {(c.name, c.group): (c.count, c.total_ns, c.exposed_ns, c.size_bytes) for c in facts.collectives}
    assert found == {
        ("allreduce", "tp"): (1, 50_000, 30_000, 2000),
        ("all_reduce", None): (1, 50_000, 50_000, 400),
        ("all_to_all", None): (1, 20_000, 20_000, 0),
    }
    assert sum(c.exposed_ns for c in facts.collectives) == facts.partition.exposed_communication_ns


def allocation(ts, size, total, device=0, kind=1):
    args = {"Bytes": size, "Total Allocated": total, "Total Reserved": 4096, "Device Id": device, "Device Type": kind}
    return {"ph": "i", "name": "[memory]", "pid": 1, "tid": 1, "ts": ts, "s": "t", "args": args}


def test_memory_curve_peak_and_churn(tmp_path):
    small = SmallTrace()
    small.step(1, 0, 100)
    small.step(2, 100, 100)
    small.launch("k", (0, 2), (5, 5))
    small.launch("k", (110, 2), (115, 5))
    small.call("cudaMalloc", 20, 30)
    small.call("cudaFree", 60, 10)
    small.events += [allocation(10, 512, 512), allocation(20, 512, 1024), allocation(30, -512, 512)]
    small.events += [
        allocation(150, 1024, 1536),
        allocation(160, -1024, 512),
        allocation(15, 64, 64, device=-1, kind=0),
    ]
    trace = small.read(tmp_path)
    curve = memory_curve(trace, trace_steps(trace, device_rows(trace)))
    assert curve.device == 0 and not curve.is_relative
    assert curve.allocated_bytes.tolist() == [512, 1024, 512, 1536, 512]
    assert (curve.peak_bytes, curve.peak_ns, curve.peak_reserved_bytes) == (1536, 150_000, 4096)
    assert (curve.allocations, curve.frees, curve.churn_bytes) == (3, 2, 2048)
    assert (curve.allocations_per_step, curve.churn_bytes_per_step) == (1.5, 1024)
    assert (curve.device_mallocs, curve.device_frees, curve.device_malloc_ns) == (1, 1, 40_000)


def test_without_totals_the_curve_counts_its_own_events(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 2), (5, 5))
    for ts, size in ((1, 100), (2, -300), (3, 500)):
        event = allocation(ts, size, 0)
        del event["args"]["Total Allocated"], event["args"]["Total Reserved"]
        small.events.append(event)
    curve = memory_curve(small.read(tmp_path))
    assert curve.is_relative and curve.peak_reserved_bytes == MISSING
    assert curve.allocated_bytes.tolist() == [300, 0, 500], "200 bytes must have been there before"


def test_without_memory_events_there_is_no_curve(tmp_path):
    small = SmallTrace()
    small.launch("k", (0, 2), (5, 5))
    assert memory_curve(small.read(tmp_path)) is None


def test_what_the_host_did_for_a_step(tmp_path):
    small = SmallTrace()
    for number in (1, 2, 3):
        at = number * 1000
        small.step(number, at, 1000)
        small.host("enumerate(DataLoader)#x.__next__", at, 300, "user_annotation")
        small.host("aten::mm", at + 300, 100)
        small.launch("k", (at + 350, 20), (at + 400, 50))
        small.host("aten::mm", at + 500, 100, tid=BACKWARD)
        small.launch("k", (at + 550, 20), (at + 600, 50), tid=BACKWARD)
        small.launch("k", (at + 580, 10), (at + 650, 50), tid=BACKWARD)
        small.host("aten::mm", at + 900, 50, tid=99)  # a thread that launches nothing
        small.call("cudaDeviceSynchronize", at + 700, 100)
    host = device_facts(small.read(tmp_path)).host
    assert (host.launch_thread, host.launch_threads) == (BACKWARD, (BACKWARD, MAIN))
    assert (host.ops_per_step, host.launches_per_step) == (2, 3)
    assert (host.data_ns, host.sync_ns, host.launch_ns, host.op_ns) == (300_000, 100_000, 50_000, 150_000)
    assert (host.python_ns, host.step_ns) == (400_000, 1_000_000)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("train.py(12): main", True),
        ("/home/me/project/train.py(12): main", True),
        ("src/models/net.py(3): forward", True),
        ("torch/nn/modules/module.py(1755): _call_impl", False),
        ("/opt/venv/lib/python3.12/site-packages/timm/x.py(3): f", False),
        ("/usr/lib/python3.12/threading.py(3): run", False),
        ("threading.py(3): run", False),
        ("<built-in method view of Tensor object at 0x7f>", False),
        ("nn.Module: Linear_3", False),
    ],
)
def test_whose_line_it_is(name, own):
    assert is_own_line(name) is own


@pytest.mark.parametrize(
    ("properties", "capability", "tensor_cores"),
    [
        ({"name": "Tesla V100-DGXS-32GB", "computeMajor": 7, "computeMinor": 0}, (7, 0), True),
        ({"name": "Tesla P100", "computeMajor": 6, "computeMinor": 0}, (6, 0), False),
        ({"name": "NVIDIA GeForce GTX 1660", "computeMajor": 7, "computeMinor": 5}, (7, 5), False),
        ({"name": "AMD Instinct MI300X", "computeMajor": 9, "computeMinor": 4}, None, True),
        ({"name": "AMD Radeon Graphics", "computeMajor": 9, "computeMinor": 0}, None, None),
        ({}, None, None),
    ],
)
def test_tensor_cores_of_the_hardware(tmp_path, properties, capability, tensor_cores):
    small = SmallTrace()
    small.launch("k", (0, 2), (5, 5))
    about = hardware(small.read(tmp_path, deviceProperties=[{"id": 0, **properties}]), 0)
    assert (about.capability, about.has_tensor_cores) == (capability, tensor_cores)

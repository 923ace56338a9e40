"""What the graph finds out about waiting: engines, queues, streams, workers; and which time it calls what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from simulated_device import (
    Backward,
    CopyBack,
    Launch,
    Machine,
    Operator,
    Python,
    Synchronize,
    WaitFor,
)

from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.changes import Faster, FewerLaunches, HostFaster, NoGap, NoSync
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.graph.outlook import GraphReplay
from slowprobe.timeline.loop_changes import GONE, Factor, faster
from slowprobe.trace.reader import MISSING, read_trace

TWICE = faster(1, 2)


def graph_of(machine: Machine, folder: Path) -> Graph:
    trace = read_trace(machine.write(folder / "trace.json"))
    return build_graph(trace, device_rows(trace))


def edges(graph: Graph) -> set[tuple[str, str]]:
    """Names of waiting and awaited rows."""
    names = [graph.names[i] if i != MISSING else "-" for i in graph.name_id.tolist()]
    return {(names[a], names[b]) for a, b in zip(graph.waiting.tolist(), graph.awaited.tolist(), strict=True)}


def test_the_main_thread_waits_for_backward(tmp_path):
    program = (Operator(10_000), Backward((Launch(5_000), Operator(400_000))), Operator(30_000))
    graph = graph_of(Machine().run(program * 3), tmp_path)
    assert sorted(set(graph.thread.tolist())) == [MISSING, 0, 1]
    main, engine = graph.thread == 0, graph.thread == 1
    assert int(graph.duration_ns[main].sum()) == 3 * 40_000, "waiting is not work"
    assert int(graph.duration_ns[engine].sum()) == 3 * 409_000
    faster_engine = graph.replay([HostFaster(GONE, ("operator",))])
    assert faster_engine.total_ns == pytest.approx(8_000 + 3 * 5_000 + 2 * 1_000, abs=100)


def test_a_thread_that_works_beside_the_main_one_is_not_the_engine(tmp_path):
    machine = Machine().run((Operator(50_000), Launch(2_000), Operator(50_000)))
    machine.now, machine.thread = 1_000, 33  # a thread of the user's own, with copies of its own
    machine._launch(Launch(3_000, stream=9))
    machine.now = 90_000
    machine._launch(Launch(3_000, stream=9))
    graph = graph_of(machine, tmp_path)
    replayed = graph.replay([HostFaster(GONE, ("operator",))])
    side = np.flatnonzero((graph.thread == 1) & graph.is_kind("launch"))
    assert replayed.start_ns[side[-1]] == 90_000, "it may have had work of its own until then"


def test_threads_that_neither_train_nor_launch_are_left_out(tmp_path):
    machine = Machine().run((Operator(50_000), Launch(2_000)))
    machine.now, machine.thread = 0, 44
    for _ in range(50):
        machine.call("cudaEventQuery", machine.now + 1_000)
    graph = graph_of(machine, tmp_path)
    assert set(graph.thread.tolist()) == {MISSING, 0}
    assert (graph.start_ns[graph.thread == 0] >= 0).all()


@pytest.mark.parametrize("told", [True, False])
def test_a_stream_waits_for_another(tmp_path, told):
    step = (Launch(50_000, 7, "gemm"), WaitFor(20, 7), Launch(90_000, 20, "nccl_reduce"), WaitFor(7, 20))
    graph = graph_of(Machine(told=told).run((*step, Launch(3_000, 7, "update")) * 4), tmp_path)
    assert ("nccl_reduce", "gemm") in edges(graph)
    assert ("update", "nccl_reduce") in edges(graph)
    total = graph.replay().total_ns
    assert total - graph.replay([Faster("communication", GONE)]).total_ns == pytest.approx(4 * 90_000, rel=0.1)
    assert total - graph.replay([Faster("communication", TWICE)]).total_ns == pytest.approx(4 * 45_000, rel=0.1)


@pytest.mark.parametrize("told", [True, False])
def test_a_stream_synchronisation_waits_for_its_stream_only(tmp_path, told):
    program = (Launch(900_000, 20, "long"), Launch(80_000, 7, "short"), Synchronize(7), Python(10_000))
    graph = graph_of(Machine(told=told).run(program), tmp_path)
    assert edges(graph) == {("cudaStreamSynchronize", "short")}


def test_a_kernel_that_fills_the_device_holds_up_another_stream(tmp_path):
    machine = Machine()
    machine._launch(Launch(1_000_000, 20, "wide_gemm"))
    machine.not_before[7] = 8_000 + 1_000_000 - 30_000  # starts behind the last blocks of the other
    machine._launch(Launch(50_000, 7, "narrow_gemm"))
    graph = graph_of(machine.run(()), tmp_path)
    assert edges(graph) == {("narrow_gemm", "wide_gemm")}
    halved = graph.replay([Faster(lambda name: name == "wide_gemm", TWICE)])
    assert halved.total_ns == pytest.approx(8_000 + 500_000 - 30_000 + 50_000, abs=100)


def test_a_launch_that_takes_long_submits_late(tmp_path):
    machine = Machine().run((Launch(5_000), Python(100_000)))
    start = machine.now  # loads a module first
    correlation = machine.call("cudaLaunchKernel", start + 3_000_000)
    machine.event("kernel", "gemm", start + 3_002_000, start + 3_042_000, correlation=correlation, stream=7, device=0)
    machine.now += 1_000
    machine._synchronize(Synchronize())
    graph = graph_of(machine, tmp_path)
    gone = graph.replay([NoGap("launch", GONE)])
    assert gone.total_ns == pytest.approx(graph.span_ns - 3_000_000 - 5_000, abs=3_000)
    halved = graph.replay([HostFaster(TWICE, ("launch",))])
    assert halved.total_ns == pytest.approx(graph.span_ns - 1_500_000 - 2_500, abs=3_000)


def test_an_event_synchronisation_waits_for_what_was_recorded(tmp_path):
    machine = Machine()
    machine._launch(Launch(50_000, 7, "before"))
    record = machine.call("cudaEventRecord", machine.now + 1_000)
    machine._launch(Launch(70_000, 7, "after"))
    start, over = machine.now, 8_000 + 50_000 + 2_000
    correlation = machine.call("cudaEventSynchronize", over)
    about = {"wait_on_stream": 7, "wait_on_cuda_event_record_corr_id": record, "device": 0, "stream": -1}
    machine.event("cuda_sync", "Event Sync", start, over, correlation=correlation, **about)
    graph = graph_of(machine.run(()), tmp_path)
    assert edges(graph) == {("cudaEventSynchronize", "before")}


def test_a_full_queue_holds_the_host_back(tmp_path):
    machine = Machine()
    slots = 120
    for i in range(300):
        blocked = i >= slots
        if blocked:  # until the row that is so many launches back has ended
            done = machine.events[2 * (i - slots) + 1]
            over = round(1_000 * (done["ts"] + done["dur"]))
        place = machine._place(7, 20_000)
        place = max(place, machine.now)
        until = max(machine.now + 5_000, over) if blocked else machine.now + 5_000
        correlation = machine.call("cudaLaunchKernel", until)
        machine.event("kernel", "gemm", place, place + 20_000, correlation=correlation, stream=7, device=0)
    graph = graph_of(machine.run(()), tmp_path)
    waiting = graph.is_kind("launch") & (graph.duration_ns < 100)
    assert int(waiting.sum()) > 130, "their time was waiting"
    halved = graph.replay([Faster("matmul", TWICE)])
    assert halved.total_ns < 0.6 * graph.replay().total_ns
    launched = graph.is_kind("launch")
    assert halved.end_ns[launched].max() < 0.6 * graph.end_ns[launched].max()


def test_workers_that_are_late_stay_late(tmp_path):
    machine = Machine()
    for _ in range(6):
        start = machine.now
        machine.now += 300_000
        name = "enumerate(DataLoader)#_MultiProcessingDataLoaderIter.__next__"
        machine.event("user_annotation", name, start, machine.now)
        machine._do((Operator(100_000), Launch(50_000), Synchronize()))
    graph = graph_of(machine.run(()), tmp_path)
    total = graph.replay().total_ns
    no_compute = graph.replay([Faster("matmul", GONE), HostFaster(GONE, ("operator",))]).total_ns
    assert no_compute > 0.9 * total, "the workers supply no faster"
    assert graph.replay([NoGap("data")]).total_ns < 0.45 * total


def test_a_loader_without_workers_is_work_of_the_thread(tmp_path):
    machine = Machine()
    for _ in range(6):
        start = machine.now
        machine.now += 300_000
        name = "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"
        machine.event("user_annotation", name, start, machine.now)
        machine._do((Operator(100_000),))
    graph = graph_of(machine.run(()), tmp_path)
    assert graph.replay([HostFaster(GONE, ("operator",))]).total_ns == pytest.approx(6 * 300_000)
    assert graph.replay([NoGap("data")]).total_ns == pytest.approx(6 * 100_000)


def test_the_path_names_what_the_time_went_to(tmp_path):
    device_bound = graph_of(Machine().run((Launch(50_000),) * 30), tmp_path).critical_path()
    assert device_bound.share("matmul") > 0.95
    host_bound = graph_of(Machine().run((Python(30_000), Operator(20_000), Launch(3_000)) * 30), tmp_path)
    by_kind = host_bound.critical_path().by_kind
    assert by_kind["python"] == pytest.approx(30 * 30_000, abs=31_000)  # the first before any event
    assert by_kind["operator"] == 30 * 20_000
    assert "matmul" in by_kind and by_kind["matmul"] == 3_000


def test_a_trace_without_a_device_is_all_host(tmp_path):
    graph = graph_of(Machine().run((Operator(30_000), Python(10_000), Operator(30_000))), tmp_path)
    assert not graph.on_device.any()
    assert graph.critical_path().by_kind == {"operator": 60_000, "python": 10_000}


def test_an_empty_trace_has_an_empty_graph(tmp_path):
    machine = Machine()
    machine.event("Trace", "nothing", 0, 1_000)
    graph = graph_of(machine, tmp_path)
    assert len(graph) == 0
    assert graph.replay([NoSync(), FewerLaunches(0, 0, 0)]).total_ns == 0
    assert graph.critical_path().length_ns == 0
    assert GraphReplay(graph, graph.start_ns, graph.start_ns).outlook([NoSync()]).before_s == 0


def test_kernels_without_a_launch_keep_their_place(tmp_path):
    machine = Machine().run((Launch(50_000), Launch(50_000), Launch(50_000)))
    machine.events = [e for e in machine.events if e["args"].get("correlation") != 2 or e["cat"] == "kernel"]
    graph = graph_of(machine, tmp_path)
    assert graph.replay().total_ns == machine.total_ns
    assert graph.replay([Faster("matmul", TWICE)]).total_ns == pytest.approx(8_000 + 75_000 + 2_000, abs=2_500)


def steps_of(machine: Machine, program: tuple[object, ...], count: int) -> tuple[np.ndarray, np.ndarray]:
    bounds = []
    for i in range(count):
        start = machine.now
        machine._do(program)
        machine.event("user_annotation", f"ProfilerStep#{i}", start, machine.now)
        bounds.append((start, machine.now))
        machine._do((Python(50_000),))
    starts, ends = np.array(bounds).T
    return starts, ends


def test_the_outlook_is_of_the_steps(tmp_path):
    machine = Machine()
    starts, ends = steps_of(machine, (Operator(100_000), Launch(400_000), CopyBack(2_000)), 5)
    graph = graph_of(machine, tmp_path)
    replay = GraphReplay(graph, starts[1:4], ends[1:4])
    step_s = (ends[3] - starts[1]) / 1e9
    assert replay.before_s == pytest.approx(step_s)
    outlook = replay.outlook([Faster("matmul", Factor(0.25, 0.5, 1.0))])
    assert outlook.expected_s == pytest.approx(step_s - 3 * 0.0002, rel=0.01)
    assert outlook.best_s == pytest.approx(step_s - 3 * 0.0003, rel=0.01)
    assert outlook.worst_s == pytest.approx(step_s)
    assert outlook.speedup[1] > 1.3
    off_step = replay.outlook([NoGap("off_step")])
    assert off_step.expected_s == pytest.approx(step_s - 2 * 0.00005, rel=0.01), "two gaps between three steps"


def test_work_that_the_host_ran_ahead_of_counts_where_it_was_launched(tmp_path):
    machine = Machine()
    starts, ends = steps_of(machine, (Operator(10_000), Launch(400_000)), 6)
    graph = graph_of(machine, tmp_path)
    replay = GraphReplay(graph, starts[2:4], ends[2:4])
    assert replay.before_s == pytest.approx(2 * 401_000 / 1e9, rel=0.01), "the device sets the pace"
    assert replay.outlook([Faster("matmul", TWICE)]).expected_s == pytest.approx(401_000 / 1e9, rel=0.01)
    assert replay.outlook([HostFaster(GONE)]).expected_s == pytest.approx(replay.before_s, rel=0.01)

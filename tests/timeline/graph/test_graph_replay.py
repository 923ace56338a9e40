"""Replays of simulated traces against the same program run again with the change really made."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_device import (
    Backward,
    CopyBack,
    CopyIn,
    Launch,
    Machine,
    Operator,
    Python,
    Synchronize,
    WaitFor,
    changed,
)

from slowprobe.timeline.device.rows import device_rows
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.changes import (
    Faster,
    FewerLaunches,
    HostFaster,
    NoGap,
    NoOperators,
    NoSync,
    OverlapCopies,
)
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.loop_changes import GONE, UNCHANGED, faster
from slowprobe.trace.reader import read_trace

TWICE = faster(1, 2)

work = st.integers(1_000, 60_000)
streams = st.sampled_from([7, 7, 20])
leaves = st.one_of(
    st.builds(Python, work),
    st.builds(Operator, work),
    st.builds(Launch, work, streams),
    st.builds(Launch, work, streams),
    st.builds(CopyBack, work, streams),
    st.builds(CopyIn, work, streams),
    st.builds(Synchronize, st.sampled_from([None, 7, 20])),
    st.sampled_from([WaitFor(7, 20), WaitFor(20, 7)]),
)
backward = st.builds(Backward, st.lists(leaves, min_size=1, max_size=8).map(tuple))
around = st.builds(Operator, work)
programs = st.lists(
    st.one_of(leaves, leaves, leaves, st.tuples(around, backward, around)), min_size=1, max_size=25
).map(lambda parts: tuple(each for part in parts for each in (part if isinstance(part, tuple) else (part,))))


def run(program: tuple[object, ...], *, told: bool = True) -> tuple[Machine, Graph]:
    machine = Machine(told=told).run(program)
    with tempfile.TemporaryDirectory() as folder:
        trace = read_trace(machine.write(Path(folder) / "trace.json"))
    return machine, build_graph(trace, device_rows(trace))


def total_ns(program: tuple[object, ...]) -> int:
    return Machine().run(program).total_ns


@given(programs, st.booleans())
@settings(deadline=None, max_examples=150)
def test_without_changes_every_time_is_the_recorded_one(program, told):
    machine, graph = run(program, told=told)
    replayed = graph.replay()
    assert replayed.start_ns.tolist() == graph.start_ns.tolist()
    assert replayed.end_ns.tolist() == graph.end_ns.tolist()
    assert replayed.total_ns == machine.total_ns


@given(programs, st.data())
@settings(deadline=None, max_examples=150)
def test_making_anything_faster_makes_nothing_later(program, data):
    _, graph = run(program, told=data.draw(st.booleans()))
    chosen = data.draw(st.lists(st.sampled_from(sorted({*graph.row.tolist()})), max_size=4))
    changes = data.draw(
        st.lists(
            st.sampled_from(
                [
                    Faster(chosen, TWICE),
                    Faster("matmul", TWICE),
                    Faster("copy", GONE),
                    HostFaster(TWICE),
                    HostFaster(GONE, ("python",)),
                    NoGap("launch"),
                    NoSync(),
                    NoSync(chosen),
                    OverlapCopies(),
                    FewerLaunches(0, 500, 1_000),
                ]
            ),
            max_size=3,
        )
    )
    before = graph.replay()
    after = graph.replay(changes)
    assert (after.end_ns <= before.end_ns).all()
    assert after.total_ns <= before.total_ns
    more = graph.replay([*changes, Faster("matmul", TWICE), HostFaster(TWICE)])
    assert (more.end_ns <= after.end_ns).all()


GUESSED_NS = 2_500  # gaps and what the first launches take, of which so short a program tells too little: 2,001 ns seen


@given(programs, st.booleans())
@settings(deadline=None, max_examples=100)
def test_the_critical_path_is_a_chain_no_longer_than_the_span(program, told):
    _, graph = run(program, told=told)
    path = graph.critical_path()
    assert path.length_ns <= graph.span_ns
    assert sum(path.by_kind.values()) == path.length_ns
    assert (np.diff(path.nodes) > 0).all()
    assert graph.end_ns[path.nodes[-1]] == graph.end_ns.max()


@pytest.mark.parametrize("times", [2, 5])
@given(program=programs)
@settings(deadline=None, max_examples=100)
def test_faster_kernels_are_predicted_as_they_turn_out(program, times):
    _, graph = run(program)
    truth = total_ns(changed(program, (Launch,), times))
    predicted = graph.replay([Faster("matmul", faster(1, times))]).total_ns
    assert predicted == pytest.approx(truth, rel=0.02, abs=GUESSED_NS)


@pytest.mark.parametrize("times", [2, 5])
@given(program=programs)
@settings(deadline=None, max_examples=100)
def test_faster_host_work_is_predicted_as_it_turns_out(program, times):
    _, graph = run(program)
    truth = total_ns(changed(program, (Python, Operator, WaitFor), times))
    predicted = graph.replay([HostFaster(faster(1, times), ("python", "operator"))]).total_ns
    assert predicted == pytest.approx(truth, rel=0.02, abs=GUESSED_NS)


def random_program(rng: random.Random) -> tuple[object, ...]:
    def ns() -> int:
        return rng.randint(1_000, 60_000)

    def leaf() -> object:
        kind = rng.choice([Python, Operator, Launch, Launch, CopyBack, CopyIn, Synchronize, WaitFor])
        if kind is WaitFor:
            return rng.choice([WaitFor(7, 20), WaitFor(20, 7)])
        if kind is Synchronize:
            return Synchronize(rng.choice([None, 7, 20]))
        return kind(ns()) if kind in (Python, Operator) else kind(ns(), rng.choice([7, 7, 20]))

    return tuple(leaf() for _ in range(rng.randint(5, 40)))


@pytest.mark.parametrize(("told", "typical", "seldom"), [(True, 0.005, 0.02), (False, 0.005, 0.1)])
def test_what_the_trace_does_not_say_of_synchronisation_is_guessed_well(told, typical, seldom):
    rng = random.Random(7)
    errors = []
    for _ in range(100):
        program = random_program(rng)
        _, graph = run(program, told=told)
        truth = total_ns(changed(program, (Launch,), 4))
        errors.append(abs(graph.replay([Faster("matmul", faster(1, 4))]).total_ns / truth - 1))
    assert np.median(errors) < typical
    assert np.quantile(errors, 0.95) < seldom


def test_both_at_once_overlap():
    program = tuple(each for _ in range(20) for each in (Operator(20_000), Launch(60_000)))
    _, graph = run(program)
    slow_device = graph.replay().total_ns
    assert graph.replay([HostFaster(GONE)]).total_ns > 0.95 * slow_device, "the host was hidden behind the device"
    halved = graph.replay([Faster("matmul", TWICE)]).total_ns
    assert halved == pytest.approx(total_ns(changed(program, (Launch,), 2)), rel=0.01)
    tenth = graph.replay([Faster("matmul", faster(1, 10))]).total_ns
    assert tenth == pytest.approx(20 * 25_000, rel=0.05), "from there on the host holds it up"


def test_a_read_back_removed_lets_the_host_run_ahead():
    step = (Operator(10_000), Launch(80_000), CopyBack(2_000), Python(60_000))
    _, graph = run(step * 10)
    without = tuple(each for each in step if not isinstance(each, CopyBack))
    truth = total_ns((*without, Launch(2_000, name="other")) * 10)
    predicted = graph.replay([NoSync(left=faster(1, 1e9))]).total_ns
    assert predicted == pytest.approx(truth, rel=0.05)
    assert predicted < 0.7 * graph.replay().total_ns


def test_a_wait_that_never_lasted_is_worth_nothing():
    _, graph = run((Launch(1_000), Python(500_000), Synchronize()) * 5)
    saved = 1 - graph.replay([NoSync()]).total_ns / graph.replay().total_ns
    assert 0 <= saved < 0.02


def test_copies_to_the_device_overlap_with_kernels():
    step = (CopyIn(100_000), Operator(5_000), Launch(200_000))
    _, graph = run(step * 10)
    predicted = graph.replay([OverlapCopies()]).total_ns
    assert predicted == pytest.approx(10 * 201_000, rel=0.05)
    _, graph = run((CopyIn(300_000), Operator(5_000), Launch(100_000)) * 10)
    assert graph.replay([OverlapCopies()]).total_ns >= 10 * 300_000, "the link keeps its speed"


def test_a_staged_copy_and_the_synchronisation_behind_it_overlap_too(tmp_path):
    machine = Machine()
    for _ in range(10):
        # Pageable memory: the call copies to pinned memory first, and does not wait for the rest.
        correlation = machine.call("cudaMemcpyAsync", machine.now + 300_000)
        start = machine._place(7, 250_000)
        about = {"correlation": correlation, "stream": 7, "device": 0}
        machine.event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", start, start + 250_000, **about)
        machine._synchronize(Synchronize(7))
        machine._do((Operator(5_000), Launch(600_000)))
    graph = build_graph(trace := read_trace(machine.write(tmp_path / "trace.json")), device_rows(trace))
    predicted = graph.replay([OverlapCopies()])
    assert predicted.total_ns == pytest.approx(10 * 601_000, rel=0.02)


def test_a_recorded_graph_frees_the_host():
    _, graph = run((Operator(30_000), Launch(10_000)) * 30)
    replayed = graph.replay([FewerLaunches(0, 0, 1_000)])
    assert replayed.total_ns == pytest.approx(30 * 11_000 + 30_000, rel=0.05)
    assert graph.replay([FewerLaunches(0, 0, 1_000)], case="worst").total_ns >= replayed.total_ns


def test_a_graph_of_some_kernels_leaves_the_launches_of_the_others():
    _, graph = run((Operator(30_000), Launch(10_000)) * 10)
    kernels = graph.row[graph.on_device].tolist()
    assert graph.replay([FewerLaunches(0, 0, 0, kernels)]).total_ns == graph.replay([FewerLaunches(0, 0, 0)]).total_ns
    assert graph.replay([FewerLaunches(0, 0, 0, [])]).total_ns == graph.replay([]).total_ns
    some = graph.replay([FewerLaunches(0, 0, 0, kernels[:5])]).total_ns
    assert graph.replay([FewerLaunches(0, 0, 0)]).total_ns < some < graph.replay([]).total_ns


def test_host_work_goes_by_its_parts():
    program = (Python(100_000), Operator(50_000), Python(20_000), Operator(1_000))
    _, graph = run(program)
    assert graph.replay([HostFaster(GONE, ("python",))]).total_ns == pytest.approx(51_000, abs=10)
    assert graph.replay([HostFaster(GONE, ("operator",))]).total_ns == pytest.approx(120_000, abs=10)
    assert graph.replay([NoGap("python")]).total_ns == 0


def test_operators_that_are_gone_leave_python_and_their_calls():
    machine_program = (Operator(50_000), Python(100_000), Operator(30_000), Launch(10_000), Operator(5_000))
    _, graph = run(machine_program)
    whole = graph.replay([]).total_ns
    start = int(graph.start_ns[0])
    assert graph.replay([NoOperators([(start, start + 50_000)])]).total_ns == pytest.approx(whole - 50_000, abs=10)
    assert graph.replay([NoOperators([(start, start + 50_000)], UNCHANGED)]).total_ns == whole
    assert graph.replay([NoOperators([])]).total_ns == whole


def test_changes_that_do_not_exist_are_refused():
    _, graph = run((Operator(1_000), Launch(1_000)))
    for change in (Faster("gemm", TWICE), HostFaster(TWICE, ("queue",)), NoGap("queue_full")):
        with pytest.raises(ValueError, match=r"no |not "):
            graph.replay([change])

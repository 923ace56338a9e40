"""What several ranks do, replayed together."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_traces import ORIGIN, TRANSFER, Event, Job, host, kernel

from slowprobe.diagnose.engine import examine
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.timeline.device.facts import device_facts
from slowprobe.timeline.graph.changes import Faster, OfRank
from slowprobe.timeline.graph.outlook import GraphReplay
from slowprobe.timeline.loop_changes import Factor
from slowprobe.timeline.ranks.find import find_recordings
from slowprobe.timeline.ranks.joined import joined_graph
from slowprobe.timeline.ranks.load import load_ranks
from slowprobe.trace.reader import read_trace

SHARED = Path(os.environ.get("SLOWPROBE_TRACES") or Path(__file__).parents[4] / "shared" / "traces")


def replay(paths: list[Path], shown: int = 0) -> tuple[GraphReplay, dict[int, int]]:
    ranks = load_ranks(paths, jobs=1)
    trace = read_trace(ranks.rows[shown].path)
    facts = device_facts(trace)
    assert facts is not None
    found = joined_graph(trace, facts, ranks)
    assert found is not None
    graph, numbers = found
    return GraphReplay(graph, facts.steps.start_ns, facts.steps.end_ns), {r: place for place, r in enumerate(numbers)}


class Chained(Job):
    """Each step begins when the collective of the one before it is over, and the host has waited for that."""

    def events(self, rank: int) -> list[Event]:
        events: list[Event] = []
        now = ORIGIN
        for step, comes in enumerate(self.comes):
            mine, last = comes[rank] or 0.0, max(each or 0.0 for each in comes)
            end = now + last + TRANSFER
            first, second = step * 10 + 1, step * 10 + 2
            events += [
                host(f"ProfilerStep#{step + 5}", now, end + 2 - now, "user_annotation"),
                host("cudaLaunchKernel", now + 1, 2, "cuda_runtime", correlation=first),
                kernel("ampere_sgemm_128x64_tn", now + 5, mine - 5, 7, first),
                host("nccl:all_reduce", now + 4, 4, "user_annotation"),
                host("cudaLaunchKernelExC", now + 5, 2, "cuda_runtime", correlation=second),
                kernel("ncclDevKernel_AllReduce_Sum_f32_RING_LL", now + mine, end - now - mine, 7, second),
                host("cudaStreamSynchronize", now + 9, end - now - 9, "cuda_runtime", correlation=second + 1),
            ]
            now = end + 2
        return events


def half() -> Factor:
    return Factor(0.5, 0.5, 0.5)


def test_without_changes_all_ranks_are_as_recorded(tmp_path: Path) -> None:
    job = Job([[300.0, 500.0, 200.0]] * 6)
    job.clock = {1: 40_000.0, 2: -7_000.0}
    replayed, _ = replay(job.write(tmp_path))
    graph = replayed._graph
    same = replayed.schedule(())
    assert np.array_equal(same.start_ns, graph.start_ns) and np.array_equal(same.end_ns, graph.end_ns)
    assert set(graph.rank.tolist()) == {0, 1, 2}


def test_only_the_rank_that_comes_last_can_save_anything(tmp_path: Path) -> None:
    """The last collective is where it shows: the job's host marches on in slots, which no device work holds up."""
    replayed, place = replay(Job([[300.0, 500.0, 200.0]]).write(tmp_path))
    assert replayed.before_s * 1e6 == pytest.approx(1000, abs=60)

    def left(rank: int) -> int:
        schedule = replayed.schedule([OfRank(place[rank], Faster("compute", half()))])
        transfers = (replayed._graph.rank == 0) & replayed._graph.is_kind("communication")
        return int(schedule.end_ns[transfers].max())

    recorded = int(replayed._graph.end_ns[(replayed._graph.rank == 0) & replayed._graph.is_kind("communication")].max())
    assert left(0) == left(2) == recorded, "rank 1 comes no earlier"
    saved_us = (recorded - left(1)) / 1e3
    assert saved_us == pytest.approx(500 - 300, abs=1), "then rank 0 is the last"


def test_faster_communication_is_a_faster_transfer_and_no_shorter_wait(tmp_path: Path) -> None:
    replayed, _ = replay(Job([[300.0, 500.0, 200.0]]).write(tmp_path))
    graph = replayed._graph
    calls = (graph.rank == 0) & graph.is_kind("communication")
    after = replayed.schedule([Faster("communication", half())])
    assert (int(graph.end_ns[calls].max()) - int(after.end_ns[calls].max())) / 1e3 == pytest.approx(25, abs=1)


@given(
    comes=st.lists(st.lists(st.integers(10, 900), min_size=3, max_size=3), min_size=1, max_size=5),
    clocks=st.lists(st.integers(-100_000, 100_000), min_size=2, max_size=2),
    rank=st.integers(0, 2),
    left=st.floats(0, 1),
)
@settings(deadline=None, max_examples=30)
def test_speeding_up_never_makes_slower(
    tmp_path_factory: pytest.TempPathFactory, comes: list[list[int]], clocks: list[int], rank: int, left: float
) -> None:
    job = Job([[float(each) for each in row] for row in comes])
    job.clock = {1: float(clocks[0]), 2: float(clocks[1])}
    replayed, _ = replay(job.write(tmp_path_factory.mktemp("job")))
    graph = replayed._graph
    same = replayed.schedule(())
    assert np.array_equal(same.end_ns, graph.end_ns)
    faster = replayed.schedule([OfRank(rank, Faster("compute", Factor(left, left, left)))])
    assert (faster.end_ns <= graph.end_ns).all()


@pytest.mark.parametrize("shown", [0, 2], ids=["another rank's report", "its own report"])
def test_what_a_straggler_costs_is_replayed_on_all_ranks(tmp_path: Path, shown: int) -> None:
    """Each step's compute waits for the collective before it; rank 2 computes 500 us, the others 200."""
    job = Chained([[200.0, 200.0, 500.0]] * 12)
    ranks = load_ranks(job.write(tmp_path), jobs=1)
    assert ranks.straggler.rank == 2
    evidence = TraceEvidence(read_trace(ranks.rows[shown].path), ranks)
    (finding,) = [each for each in examine(evidence).findings if each.rule == "straggler"]
    assert finding.saving.basis == "replay"
    # A step of 552 us becomes one of 252 us; the first collective tells nothing of who is late.
    assert finding.saving.speedup.expected == pytest.approx(552 / 252, rel=0.1)


def test_eight_real_ranks_are_joined() -> None:
    if not (SHARED / "dlrm_8rank").is_dir():
        pytest.skip("no real traces: ../shared/traces is absent, and SLOWPROBE_TRACES names no such folder")
    (recording,) = find_recordings(SHARED / "dlrm_8rank")
    replayed, _ = replay(list(recording.paths))
    graph = replayed._graph
    same = replayed.schedule(())
    assert np.array_equal(same.end_ns, graph.end_ns)
    assert len(set(graph.rank.tolist())) == 8
    faster = replayed.schedule([Faster("communication", Factor(0.0, 0.0, 0.0))])
    assert (faster.end_ns <= graph.end_ns).all() and faster.total_ns < same.total_ns

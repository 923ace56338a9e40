"""Clocks, waiting and transfer, over hand-made jobs of which all times are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rank_traces import TRANSFER, Job

from slowprobe.timeline.ranks.calls import kind_of
from slowprobe.timeline.ranks.facts import Ranks
from slowprobe.timeline.ranks.load import load_ranks


def ranks_of(job: Job, folder: Path, ranks: Sequence[int] | None = None) -> Ranks:
    return load_ranks(job.write(folder, ranks=ranks), jobs=1)


def us(values: Sequence[int | None]) -> list[float | None]:
    return [None if value is None else value / 1000 for value in values]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nccl:all_reduce", "all_reduce"),
        ("c10d::allreduce_", "all_reduce"),
        ("nccl:_all_gather_base", "all_gather"),
        ("allgather_into_tensor_coalesced", "all_gather"),
        ("_reduce_scatter_base", "reduce_scatter"),
        ("ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL", "reduce_scatter"),
        ("c10d::alltoall_base_", "all_to_all"),
        ("all_to_allv", "all_to_all"),
        ("multimem_all_reduce_kernel", "all_reduce"),
        ("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t", "send_recv"),
        ("nccl:broadcast", "broadcast"),
        ("nccl:reduce", "reduce"),
        ("nccl:recv 3<-2", "recv"),
        ("nccl:coalesced", None),
        ("record_param_comms", None),
    ],
)
def test_kinds_of_collectives(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_waiting_and_transfer(tmp_path: Path) -> None:
    found = ranks_of(Job([[100, 300, 200], [400, 100, 150]]), tmp_path)
    assert found.calls == 2 and found.unmatched == 0 and found.alignment_ns == 0
    assert us([row.waiting_ns for row in found.rows]) == [200, 300, 100 + 250]
    assert us([row.transfer_ns for row in found.rows]) == [2 * TRANSFER] * 3
    assert us([row.suffered_ns for row in found.rows]) == [200, 300, 350]
    assert us([row.caused_ns for row in found.rows]) == [550, 300, 0]
    assert [row.came_last for row in found.rows] == [1, 1, 0]
    (kind,) = found.collectives
    assert (kind.name, kind.calls, kind.complete) == ("all_reduce", 2, True)
    assert us([kind.waiting_ns, kind.transfer_ns, kind.total_ns]) == [850, 300, 1150]


def test_clocks_that_differ_change_nothing(tmp_path: Path) -> None:
    comes = [[100, 300, 200], [400, 100, 150], [90, 120, 500]]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    same, apart = Job(comes), Job(comes)
    apart.clock = {1: 7_000_000.0, 2: -3500.5}
    one, two = ranks_of(same, tmp_path / "a"), ranks_of(apart, tmp_path / "b")
    assert us([row.clock_offset_ns for row in two.rows]) == [0, 7_000_000, -3500.5]
    for before, after in zip(one.rows, two.rows, strict=True):
        assert (before.waiting_ns, before.caused_ns, before.transfer_ns) == (
            after.waiting_ns,
            after.caused_ns,
            after.transfer_ns,
        )


def test_waiting_that_computing_hides_is_not_suffered(tmp_path: Path) -> None:
    job = Job([[100, 300], [100, 300]])
    job.hidden = {0}
    found = ranks_of(job, tmp_path)
    assert us([row.waiting_ns for row in found.rows]) == [400, 0]
    assert us([row.suffered_ns for row in found.rows]) == [0, 0]
    assert us([row.caused_ns for row in found.rows]) == [0, 0]


def test_calls_are_matched_within_their_group(tmp_path: Path) -> None:
    # Ranks 0 and 1 are one group, 2 and 3 the other; each has calls of its own, and all have the last.
    job = Job([[100, 300, 50, 60], [100, 200, 700, 60], [80, 80, 80, 380]])
    job.group = lambda call, rank: "0" if call == 2 else "1" if rank < 2 else "2"
    job.groups = [
        {"pg_name": "0", "ranks": [0, 1, 2, 3]},
        {"pg_name": "1", "ranks": [0, 1]},
        {"pg_name": "2", "ranks": [2, 3]},
    ]
    # The slot's end is that of the last of all four: let each group end with its own.
    job.end_apart = lambda call, rank: (
        0.0 if call == 2 else max(job.comes[call][rank // 2 * 2 :][:2]) - max(job.comes[call])
    )  # type: ignore[type-var,operator]
    found = ranks_of(job, tmp_path)
    assert found.calls == 5 and found.unmatched == 0
    assert us([row.waiting_ns for row in found.rows]) == [200 + 100 + 300, 300, 10 + 300, 640]
    assert {(kind.group, kind.calls, kind.complete) for kind in found.collectives} == {
        ("0", 1, True),
        ("1", 2, True),
        ("2", 2, True),
    }


def test_a_call_that_a_recording_lost_costs_its_step_only(tmp_path: Path) -> None:
    job = Job([[100, 300, 200]] * 6, calls_a_step=2)
    job.skipped = {(2, 0)}
    found = ranks_of(job, tmp_path)
    assert found.calls == 6 and found.unmatched == 1
    assert us([row.waiting_ns for row in found.rows]) == [4 * 200, 0, 6 * 100]


def test_calls_counted_wrongly_do_not_end_together(tmp_path: Path) -> None:
    # Without steps the recordings cannot be laid side by side by number: rank 2 lost the first of its calls.
    job = Job([[100 + 37 * call, 300, 200] for call in range(8)])
    job.marks = False
    job.skipped = {(0, 2), (7, 0), (7, 1)}
    found = ranks_of(job, tmp_path)
    rows = {row.rank: row for row in found.rows}
    assert rows[0].waiting_ns is not None and rows[1].waiting_ns is not None
    assert found.rows[2].waiting_ns is None or found.unmatched > 0 or found.rows[2].clock_offset_ns == 1_000_000


def test_ends_that_disagree_tell_nothing(tmp_path: Path) -> None:
    job = Job([[100, 300]] * 6)
    job.end_apart = lambda call, rank: 600.0 * call if rank else 0.0
    found = ranks_of(job, tmp_path)
    assert found.calls <= 2
    assert found.straggler.rank is None


def test_broadcasts_show_no_waiting(tmp_path: Path) -> None:
    job = Job([[100, 300]] * 4)
    job.kind = lambda call: "broadcast"
    found = ranks_of(job, tmp_path)
    assert (found.calls, found.one_sided, found.alignment_ns) == (0, 8, None)
    assert [row.waiting_ns for row in found.rows] == [None, None]


def test_correlations_are_of_one_rank_only(tmp_path: Path) -> None:
    # All ranks use the same ids, which join the kernels of a rank with its own launches alone.
    found = ranks_of(Job([[100, 300, 200]] * 3), tmp_path)
    assert found.calls == 3


def test_processes_read_the_same(tmp_path: Path) -> None:
    paths = Job([[100, 300], [400, 100]]).write(tmp_path)
    seen: list[Path] = []
    assert load_ranks(paths, jobs=2, done=seen.append) == load_ranks(paths, jobs=1)
    assert seen == paths


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    comes=st.lists(st.lists(st.integers(10, 900), min_size=3, max_size=3), min_size=1, max_size=5),
    clock=st.integers(-(10**6), 10**6),
    hidden=st.sets(st.integers(0, 2)),
)
def test_waiting_adds_up(tmp_path: Path, comes: list[list[float]], clock: int, hidden: set[int]) -> None:
    job = Job(comes)
    job.clock, job.hidden = {2: float(clock)}, hidden
    found = ranks_of(job, tmp_path)
    last = [max(call) for call in comes]
    assert us([row.waiting_ns for row in found.rows]) == [
        sum(latest - call[rank] for latest, call in zip(last, comes, strict=True)) for rank in range(3)
    ]
    assert sum(row.caused_ns or 0 for row in found.rows) == sum(row.suffered_ns or 0 for row in found.rows)
    for row in found.rows:
        assert row.waiting_ns is not None and row.suffered_ns is not None
        assert 0 <= row.suffered_ns <= row.waiting_ns
        assert row.suffered_ns <= row.partition.exposed_communication_ns
        assert (
            row.waiting_ns + (row.transfer_ns or 0)
            == np.sum([latest + TRANSFER - call[row.rank] for latest, call in zip(last, comes, strict=True)]) * 1000
        )
    assert sum(row.came_last or 0 for row in found.rows) == len(comes)

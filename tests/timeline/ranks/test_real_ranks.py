"""Ranks of real jobs: all eight of one, and two of 128."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from slowprobe.timeline.ranks.facts import Ranks
from slowprobe.timeline.ranks.find import find_recordings
from slowprobe.timeline.ranks.load import load_ranks

SHARED = Path(os.environ.get("SLOWPROBE_TRACES") or Path(__file__).parents[4] / "shared" / "traces")


def folder(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no real traces in {name}: ../shared/traces is absent, and SLOWPROBE_TRACES names no such folder")
    return SHARED / name


@pytest.fixture(scope="module")
def eight() -> Ranks:
    (recording,) = find_recordings(folder("dlrm_8rank"))
    return load_ranks(recording.paths, jobs=1)


def communication(rank: int) -> list[tuple[int, int]]:
    """Start and duration in µs of the collectives of one rank, by plain reading."""
    (path,) = folder("dlrm_8rank").glob(f"worker{rank}_*")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    kernels = [each for each in events if each.get("cat") == "kernel" and each["name"].startswith("nccl")]
    return sorted((each["ts"], each["dur"]) for each in kernels)


def test_all_eight_ranks_of_a_job(eight: Ranks) -> None:
    assert [row.rank for row in eight.rows] == list(range(8))
    assert eight.world_size == 8 and eight.coverage == 1.0 and eight.warnings == ()
    assert {row.device_name for row in eight.rows} == {"Tesla V100-SXM2-32GB"}
    assert [row.steps for row in eight.rows] == [1] * 8


def test_every_collective_is_found_on_every_rank(eight: Ranks) -> None:
    assert (eight.calls, eight.unmatched, eight.one_sided) == (8, 0, 0)
    assert {(each.name, each.calls, each.complete) for each in eight.collectives} == {
        ("all_to_all", 5, True),
        ("all_reduce", 3, True),
    }
    # One machine, one clock: what is left are whole µs, and how exactly a collective ends everywhere at once.
    assert eight.alignment_ns is not None and eight.alignment_ns <= 3000
    assert all(abs(row.clock_offset_ns or 0) <= 3000 for row in eight.rows)


def test_waiting_is_until_the_last_rank_comes(eight: Ranks) -> None:
    starts = np.array([[start for start, _ in communication(rank)] for rank in range(8)])
    durations = np.array([[duration for _, duration in communication(rank)] for rank in range(8)])
    waiting_us = (starts.max(axis=0) - starts).sum(axis=1)
    for row, expected_us, total_us in zip(eight.rows, waiting_us, durations.sum(axis=1), strict=True):
        assert row.waiting_ns is not None and row.transfer_ns is not None
        assert row.waiting_ns / 1e3 == pytest.approx(expected_us, abs=8 * 3)
        assert row.waiting_ns + row.transfer_ns == total_us * 1000
        assert row.suffered_ns is not None and row.suffered_ns <= row.partition.exposed_communication_ns


def test_one_step_names_no_straggler(eight: Ranks) -> None:
    """Rank 7 comes last to five of eight collectives, but ranks 4 and 5 to the dear ones at the end of the step.

    Most of what it causes lies before the first collective, to which ranks come as apart as their recordings began.
    """
    assert [row.came_last for row in eight.rows] == [0, 0, 0, 0, 1, 2, 0, 5]
    straggler = eight.straggler
    assert (straggler.rank, straggler.leading) == (None, 7)
    assert straggler.share < 0.5 and "no one rank" in straggler.reason
    caused = {row.rank: row.caused_ns or 0 for row in eight.rows}
    assert sorted(caused, key=lambda rank: -caused[rank])[:3] == [7, 5, 4]
    assert sum(caused.values()) == sum(row.suffered_ns or 0 for row in eight.rows)


def test_processes_give_the_same(eight: Ranks) -> None:
    (recording,) = find_recordings(folder("dlrm_8rank"))
    assert load_ranks(recording.paths, jobs=2) == eight


def test_seven_of_eight_name_nobody() -> None:
    (recording,) = find_recordings(folder("dlrm_8rank"))
    seven = load_ranks(recording.paths[:7], jobs=1)
    assert seven.world_size == 8 and seven.straggler.rank is None
    assert "7 of 8 ranks" in seven.straggler.reason
    assert not any(each.complete for each in seven.collectives)


def test_two_of_128_ranks_with_events_left_out() -> None:
    """A tenth of the events was kept, drawn by lot: the n-th kernel of one rank is not the n-th of the other."""
    (recording,) = find_recordings(folder("sampled_2of128"))
    two = load_ranks(recording.paths, jobs=1)
    assert [row.rank for row in two.rows] == [0, 1] and two.world_size == 128
    assert two.straggler.rank is None and two.straggler.leading is None
    assert all(row.partition.span_ns > 0 for row in two.rows)

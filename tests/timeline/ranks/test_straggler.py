"""A straggler is named where the recording can carry it, and only there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from rank_traces import Job

from slowprobe.timeline.ranks.facts import Ranks, Straggler
from slowprobe.timeline.ranks.load import load_ranks
from slowprobe.timeline.ranks.straggler import CHANCE, chance, steps_needed


def judged(job: Job, folder: Path, ranks: Sequence[int] | None = None) -> Straggler:
    return found(job, folder, ranks).straggler


def found(job: Job, folder: Path, ranks: Sequence[int] | None = None) -> Ranks:
    return load_ranks(job.write(folder, ranks=ranks), jobs=1)


def late(rank: int, ranks: int = 4, steps: int = 8, by: float = 300.0) -> list[list[float]]:
    chances = random.Random(3)
    return [[200 + chances.uniform(0, 30) + (by if r == rank else 0) for r in range(ranks)] for _ in range(steps)]


def test_a_rank_that_is_late_in_every_step_is_named(tmp_path: Path) -> None:
    verdict = judged(Job(late(2)), tmp_path)
    assert verdict.rank == verdict.leading == 2
    assert verdict.share == 1.0 and verdict.lost_share > 0.2
    assert 7 * 270_000 < verdict.ahead_ns < 7 * 330_000, "the first collective is left out"
    assert "rank 2" in verdict.reason and "7 of 7 steps" in verdict.reason
    assert verdict.cause == "compute" and verdict.excess_ns == pytest.approx(300_000, rel=0.1)
    assert verdict.reason.endswith(" ms more than the others computing.")


def test_ranks_that_are_late_in_turn_are_no_straggler(tmp_path: Path) -> None:
    comes = [[500.0 if rank == step % 4 else 200.0 for rank in range(4)] for step in range(12)]
    verdict = judged(Job(comes), tmp_path)
    assert verdict.rank is None and "no one rank" in verdict.reason and verdict.share < 0.4


def test_one_step_may_be_chance(tmp_path: Path) -> None:
    verdict = judged(Job(late(2, steps=6), calls_a_step=6), tmp_path)
    assert (verdict.rank, verdict.leading) == (None, 2)
    assert "chance" in verdict.reason and "4 steps in a row" in verdict.reason


def test_without_marks_there_is_one_step(tmp_path: Path) -> None:
    job = Job(late(2))
    job.marks = False
    assert judged(job, tmp_path).rank is None


def test_little_waiting_has_no_straggler(tmp_path: Path) -> None:
    comes = [[200.0, 200.0, 212.0, 200.0] for _ in range(10)]
    verdict = judged(Job(comes), tmp_path)
    assert verdict.rank is None and verdict.lost_share < 0.02 and "too little" in verdict.reason


def test_a_rank_that_is_missing_may_be_the_late_one(tmp_path: Path) -> None:
    result = found(Job(late(2)), tmp_path, ranks=[0, 1, 2])
    assert result.straggler.rank is None and result.straggler.leading is None
    assert "3 of 4 ranks" in result.straggler.reason and result.coverage == 0.75
    assert not any(kind.complete for kind in result.collectives)
    assert result.calls == 8, "what the ranks that are there wait for each other is known all the same"


def test_a_group_that_is_complete_can_be_judged(tmp_path: Path) -> None:
    job = Job(late(1, ranks=2, steps=9))
    job.world_size = 64
    job.group = lambda call, rank: "7"
    job.groups = [{"pg_name": "7", "ranks": [0, 1]}]
    assert judged(job, tmp_path).rank == 1


def test_a_late_start_is_not_a_straggler(tmp_path: Path) -> None:
    comes = [[200.0, 200.0, 201.0, 200.0] for _ in range(8)]
    comes[0][3] = 900.0
    verdict = judged(Job(comes), tmp_path)
    assert verdict.rank is None and verdict.leading != 3


def test_waiting_that_is_hidden_names_nobody(tmp_path: Path) -> None:
    job = Job(late(2))
    job.hidden = {0, 1, 3}
    verdict = judged(job, tmp_path)
    assert verdict.rank is None and "No rank waits" in verdict.reason


def test_one_rank_is_not_compared(tmp_path: Path) -> None:
    assert judged(Job(late(0)), tmp_path, ranks=[2]).reason == "Only one rank was recorded."


def test_chance_is_that_of_a_die() -> None:
    assert chance(8, 3, 3) == pytest.approx(8 / 8**3)
    assert chance(2, 1, 1) == 1.0 and chance(4, 6, 0) == 1.0
    # The leader of five throws of a fair die shows at least four times with p = 6 · (5 · 5 + 1) / 6⁵.
    assert chance(6, 5, 4) == pytest.approx(6 * 26 / 6**5)
    assert chance(4096, 500, 400) < 1e-9
    for ranks in (2, 4, 8, 128):
        needed = steps_needed(ranks)
        assert chance(ranks, needed, needed) <= CHANCE < chance(ranks, needed - 1, needed - 1)

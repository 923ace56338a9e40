"""What the probes cost is slowprobe's own time, not the user's."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import SyntheticRun

from slowprobe.diagnose.evidence import Evidence

STEPS = 200
SPAN_US = 5.0


def record(folder: Path, span_us: float) -> Evidence:
    """Steps of 1 ms in 7 spans: request, fetch, collate, forward, backward, optimizer, log."""
    run = SyntheticRun(folder, span_cost_ns=span_us * 1000)
    loader = run.loader(1)
    with run.epoch(loader):
        for _ in range(STEPS):
            run.batch(loader, 0.1, 0.1)
            run.python(0.2, 3)
            run.forward(0.2, 4)
            run.backward(0.2, 5)
            run.optimizer(0.1, 6)
            run.log(0.1, 7)
    return run.evidence()


def test_the_cost_leaves_the_buckets_around_the_spans(tmp_path: Path) -> None:
    plain, costly = record(tmp_path / "plain", 0.0), record(tmp_path / "costly", SPAN_US)
    cost_s = STEPS * SPAN_US / 1e6
    for bucket, spans in {"python": 5, "data_wait": 1, "fetch": 1, "collate": 0, "forward": 0}.items():
        left = costly.partition.bucket_s(bucket, "step")
        expected = plain.partition.bucket_s(bucket, "step") - spans * cost_s
        assert left == pytest.approx(max(0.0, expected), abs=1.5 * SPAN_US / 1e6), bucket
    assert costly.partition.loop_s < plain.partition.loop_s
    assert sum(costly.partition.seconds.values()) == pytest.approx(costly.partition.wall_s, abs=1e-9)


def test_steps_are_shorter_by_it_and_stay_the_sum_of_their_parts(tmp_path: Path) -> None:
    plain, costly = record(tmp_path / "plain", 0.0), record(tmp_path / "costly", SPAN_US)
    gone_ms = sum(costly.partition.probes.values()) * 1e3 / STEPS
    assert 0.02 < gone_ms <= 7 * SPAN_US / 1e3
    assert costly.steps.median_ms() == pytest.approx(plain.steps.median_ms() - gone_ms, abs=0.002)
    assert sum(costly.steps.parts.values()) == pytest.approx(costly.steps.wall_ms)


def test_a_cost_beyond_the_bucket_takes_no_more_than_is_there(tmp_path: Path) -> None:
    evidence = record(tmp_path, 1000.0)
    assert all(seconds >= 0 for seconds in evidence.partition.seconds.values())
    assert sum(evidence.partition.seconds.values()) == pytest.approx(evidence.partition.wall_s, abs=1e-9)

"""The typical step of a run as rows: every moment of the training thread once, workers beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import SyntheticRun

from slowprobe.report.build import build_document
from slowprobe.report.host_step import host_step


def test_the_training_thread_has_every_moment_once(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, "for batch in loader:\n    net(batch).backward()\n")
    loader = run.loader(1)
    with run.epoch(loader):
        for _ in range(20):
            run.batch(loader, 5.0, collate_ms=1.0)
            run.forward(4.0, 2)
            run.python(2.0, 2)
            run.backward(8.0, 2)
            run.collect(0.5)
            run.optimizer(1.0, 2)
            run.python(0.5, 1)
    step = host_step(run.evidence())
    assert step is not None and step.label.startswith("step ")
    (lane,) = step.lanes
    assert lane.totals_us == pytest.approx(
        {
            "loop_fetch": 5e3,
            "loop_collate": 1e3,
            "loop_forward": 4e3,
            "loop_python": 2.5e3,
            "loop_backward": 8e3,
            "loop_gc": 0.5e3,
            "loop_optimizer": 1e3,
        }
    )
    assert sum(lane.totals_us.values()) == pytest.approx(step.span_us)
    assert [step.parts[part] for part in lane.part][-3:] == ["loop_gc", "loop_optimizer", "loop_python"]
    assert any("train.py:2" in name for name in step.names)


def test_workers_have_rows_beside_it(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, "for batch in loader: ...\n")
    loader = run.loader(1, num_workers=2)
    loader.hand_over_ms, loader.payload_bytes = 2.0, 100
    with run.epoch(loader):
        for _ in range(40):
            run.batch(loader, 30.0, collate_ms=3.0)
            run.train(4.0, 8.0, 1.0)
    step = host_step(run.evidence())
    assert step is not None
    assert [(lane.kind, lane.label) for lane in step.lanes] == [
        ("host", "Training thread"),
        ("worker", "Worker 0"),
        ("worker", "Worker 1"),
    ]
    for lane in step.lanes[1:]:
        assert {"worker_fetch", "worker_collate"} <= set(lane.totals_us)
        assert sum(lane.totals_us.values()) <= step.span_us * 1.001
    assert any(name.startswith("batch ") for name in step.names)
    assert step.steps_us == sorted(step.steps_us) and step.steps_us[0] > 0 and step.steps_us[-1] < step.span_us


def test_a_run_without_steps_has_none(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path)
    run.python(50.0, 1)
    assert build_document(run.evidence().run).timeline is None

"""The wall identity and the exactness of totals, on random made-up runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic import SyntheticRun

from slowprobe.capture import totals
from slowprobe.diagnose.evidence import Evidence

MS = st.integers(0, 40).map(lambda tenths: tenths / 10)
TURN = st.fixed_dictionaries(
    {
        "fetch": MS,
        "collate": MS,
        "forward": MS,
        "backward": MS,
        "optimizer": MS,
        "python": MS,
        "log": st.none() | MS,
        "sleep": st.none() | MS,
        "save": st.none() | MS,
        "collect": st.sampled_from([None, "loose", "in a call"]),
        "evaluate": st.none() | st.integers(1, 3),
    }
)
EPOCHS = st.lists(st.lists(TURN, min_size=1, max_size=6), min_size=1, max_size=4)


def record(folder: Path, epochs: list[list[dict]], workers: int, chunk_ms: float) -> SyntheticRun:
    run = SyntheticRun(folder, chunk_ms=chunk_ms)
    loader, test_loader = run.loader(1, num_workers=workers), run.loader(2)
    for turns in epochs:
        with run.epoch(loader, start_ms=1.0):
            for turn in turns:
                take_turn(run, loader, test_loader, turn)
        run.log(0.3, 9)
    return run


def take_turn(run: SyntheticRun, loader, test_loader, turn: dict) -> None:
    run.batch(loader, turn["fetch"], turn["collate"])
    if turn["collect"] == "loose":
        run.collect(0.7)
    run.python(turn["python"], 3)
    run.forward(turn["forward"], 4)
    run.python(turn["python"] / 2)
    run.backward(turn["backward"], 5)
    run.optimizer(turn["optimizer"], 6)
    if turn["log"] is not None:
        run.log(turn["log"], 7)
    if turn["collect"] == "in a call":
        with run.inside("external", 77):
            run.spend(0.4)
            run.collect(0.5)
    if turn["sleep"] is not None:
        run.sleep(turn["sleep"], 8)
    if turn["save"] is not None:
        run.python(0.2)
        run.save(turn["save"], 10)
    if turn["evaluate"] is not None:
        run.evaluate(test_loader, turn["evaluate"], line=11)
        run.python(0.1)


def check_identity(evidence: Evidence, wall_ns: int) -> None:
    split = evidence.partition
    assert split.wall_s == pytest.approx(wall_ns / 1e9, abs=1e-9)
    assert sum(split.seconds.values()) == pytest.approx(split.wall_s, abs=1e-9)
    assert all(seconds >= -1e-12 for seconds in split.seconds.values())
    for key, labels in split.by_key.items():
        assert sum(labels.values()) == pytest.approx(evidence.recording.totals[key].self_ns / 1e9, abs=1e-9)


NOTHING = {"fetch": 0.0, "collate": 0.0, "forward": 0.0, "backward": 0.0, "optimizer": 0.0, "python": 0.0}
RARE: dict[str, None] = dict.fromkeys(("log", "sleep", "save", "collect", "evaluate"))


@settings(max_examples=60, deadline=None)
@given(EPOCHS, st.sampled_from([0, 0, 2]), st.sampled_from([5.0, 40.0, 1000.0]))
@example([[{**NOTHING, **RARE, "python": 0.1}, {**NOTHING, **RARE}]], 0, 5.0)  # a gap of no length took 2 ns of another
def test_buckets_add_up_to_the_wall_and_parts_to_the_step(epochs, workers, chunk_ms):
    with tempfile.TemporaryDirectory() as folder:
        run = record(Path(folder), epochs, workers, chunk_ms)
        evidence = run.evidence()
        check_identity(evidence, run.now_ns + 3_000_000)
        steps = evidence.steps
        parts = np.sum(list(steps.parts.values()), axis=0)
        assert parts == pytest.approx(steps.wall_ms, abs=1e-9)
        assert steps.count == sum(map(len, epochs))
        step_s = evidence.partition.scope_s("step")
        assert float(steps.wall_ms.sum()) / 1e3 == pytest.approx(step_s, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(EPOCHS, st.sampled_from([0, 2]))
def test_thinned_runs_keep_their_totals(epochs, workers):
    epochs = epochs * 4
    whole, thinned = [], []
    for bounds, kept in (((10**6, 10**6, 10**6), whole), ((40, 300, 10), thinned)):
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            for name, value in zip(("HEAD_SPANS", "LATER_SPANS", "TAIL_SPANS"), bounds, strict=True):
                patch.setattr(totals, name, value)
            run = record(Path(folder), epochs, workers, chunk_ms=20.0)
            evidence = run.evidence()
            check_identity(evidence, run.now_ns + 3_000_000)
            kept += [evidence, len(evidence.recording.spans)]
    assert thinned[0].recording.totals == whole[0].recording.totals
    assert thinned[0].recording.gaps == whole[0].recording.gaps
    assert thinned[0].steps.count == whole[0].steps.count
    assert thinned[1] <= whole[1]


def test_thinning_leaves_spans_out(tmp_path, monkeypatch):
    for name, value in (("HEAD_SPANS", 40), ("LATER_SPANS", 3_000), ("TAIL_SPANS", 20)):
        monkeypatch.setattr(totals, name, value)
    run = SyntheticRun(tmp_path)
    loader = run.loader(1)
    with run.epoch(loader):
        for _ in range(500):
            run.batch(loader, 2.0, 1.0)
            run.train(4.0, 8.0, 1.0)
    evidence = run.evidence()
    check_identity(evidence, run.now_ns + 3_000_000)
    assert len(evidence.recording.spans) < 1_500 < run.recorder.closed
    assert evidence.partition.seconds["step", "backward"] == pytest.approx(4.0)
    assert evidence.partition.seconds["step", "fetch"] == pytest.approx(1.0)


def test_every_second_lands_where_it_was_spent(tmp_path):
    run = SyntheticRun(tmp_path, startup_ms=50)
    loader, test_loader = run.loader(1), run.loader(2)
    for _ in range(3):
        with run.epoch(loader, start_ms=1, stop_ms=2):
            for _ in range(10):
                run.batch(loader, 5, 1)
                run.train(10, 20, 2)
                run.python(3)
                run.log(0.5, 7)
        run.evaluate(test_loader, 4, fetch_ms=1, forward_ms=5)
        run.save(30, 9)
    seconds = run.evidence().partition.seconds
    assert seconds["step", "fetch"] == pytest.approx(0.150)
    assert seconds["step", "collate"] == pytest.approx(0.030)
    assert seconds["step", "python"] == pytest.approx(0.090)
    assert seconds["step", "log"] == pytest.approx(0.015)
    assert seconds["off_step", "epoch"] == pytest.approx(0.009)
    assert seconds["off_step", "evaluation"] == pytest.approx(3 * (4 * 6 + 0.2) / 1e3)
    assert seconds["off_step", "checkpoint"] == pytest.approx(0.090)
    assert seconds["startup", "startup"] == pytest.approx(0.050)

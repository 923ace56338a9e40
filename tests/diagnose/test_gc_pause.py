from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
loader = DataLoader(texts)
for x in loader:
    net(x).backward()
    optimizer.step()
"""
RULE = "gc-pause"
STEPS = 100


def record(tmp_path, pause_ms, every=10):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1)
    with run.epoch(loader):
        for step in range(STEPS):
            run.batch(loader, 1.0, 0.1)
            run.train(4.0, 8.0, 1.0)
            if step % every == every - 1:
                run.collect(pause_ms)
    return run.evidence()


def test_slow_counts_the_pauses(tmp_path):
    verdict = ask(RULE, record(tmp_path, pause_ms=50.0))
    assert verdict.saved_s == pytest.approx(10 * 0.05 * 0.95, rel=0.06)
    assert "gc.freeze()" in verdict.diagnosis.fix.diff
    assert verdict.lines == [1]


def test_a_frozen_heap_passes(tmp_path):
    assert ask(RULE, record(tmp_path, pause_ms=0.2)).status == "passed"


def test_one_long_pause_in_a_long_run_passes(tmp_path):
    """Near miss: 10 ms once in 1.4 s of loop is below one percent."""
    assert ask(RULE, record(tmp_path, pause_ms=10.0, every=100)).status == "passed"

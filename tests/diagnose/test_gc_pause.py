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


def test_collections_of_slowprobes_own_and_of_imports_pass(tmp_path):
    """Near miss: 300 ms of collections, but while a profiler window was opened, and before the loop."""
    run = SyntheticRun(tmp_path, SOURCE)
    run.collect(400.0)
    loader = run.loader(1)
    with run.epoch(loader):
        for step in range(STEPS):
            run.batch(loader, 1.0, 0.1)
            run.train(4.0, 8.0, 1.0)
            if step == 20:
                with run.inside("slowprobe", 0):
                    run.spend(20.0)
                    run.collect(300.0)
    evidence = run.evidence()
    assert ask(RULE, evidence).status == "passed"
    assert evidence.partition.bucket_s("slowprobe", "off_step") == pytest.approx(0.32, rel=0.01)


def test_the_figures_are_those_of_the_loop(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    run.collect(400.0)
    loader = run.loader(1)
    with run.epoch(loader):
        for _ in range(STEPS):
            run.batch(loader, 1.0, 0.1)
            run.train(4.0, 8.0, 1.0)
            run.collect(5.0)
    summary = ask(RULE, run.evidence()).diagnosis.summary
    assert summary.startswith("100 collections") and summary.endswith("the longest takes 5 ms.")


def test_what_a_compilation_collects_is_no_matter_of_the_loop(tmp_path):
    """Near miss: one in eight compilations ends in a collection of 170 ms."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1)
    with run.epoch(loader):
        for step in range(STEPS):
            run.batch(loader, 1.0, 0.1)
            run.train(4.0, 8.0, 1.0)
            if step in (3, 40):
                with run.inside("compile", 0):
                    run.spend(200.0)
                    run.collect(170.0)
    assert ask(RULE, run.evidence()).status == "passed"


def test_a_collection_by_hand_is_named_by_its_line_and_goes(tmp_path):
    source = SOURCE + "    gc.collect()\n"
    run = SyntheticRun(tmp_path, source)
    for _ in range(STEPS):
        run.forward(4.0, 3)
        run.backward(8.0, 3)
        run.optimizer(1.0, 4)
        with run.inside("gc", 2):
            run.spend(20.0, 5)
    verdict = ask(RULE, run.evidence())
    assert verdict.lines == [5]
    assert verdict.saved_s == pytest.approx(STEPS * 20.0 / 1000, rel=0.02)
    assert verdict.diagnosis.fix.diff == "-gc.collect()"
    assert "asks for 100% of that itself" in verdict.diagnosis.summary


def test_automatic_collections_on_other_lines_are_not_by_hand(tmp_path):
    """Near miss: the collections set in on a line that makes objects."""
    run = SyntheticRun(tmp_path, SOURCE + "    rows = [Row(x) for x in y]\n")
    for _ in range(STEPS):
        run.forward(4.0, 3)
        run.backward(8.0, 3)
        run.optimizer(1.0, 4)
        with run.inside("gc", 2):
            run.spend(20.0, 5)
    verdict = ask(RULE, run.evidence())
    assert verdict.lines == [3]
    assert "gc.freeze()" in verdict.diagnosis.fix.diff

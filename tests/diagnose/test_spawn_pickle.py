from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
loader = DataLoader(rows, num_workers=2)
for batch in loader:
    net(batch).backward()
    optimizer.step()
"""
RULE = "spawn-pickle"


def record(
    tmp_path,
    *,
    method="spawn",
    start_ms=4000.0,
    first_ms=8000.0,
    passes=1,
    persistent=False,
    batches=200,
    source=SOURCE,
    **settings,
):
    run = SyntheticRun(tmp_path, source)
    if settings:
        run.settings(**settings)
    loader = run.loader(1, num_workers=2, persistent_workers=persistent, context=method)
    loader.spawn_ms = start_ms
    for number in range(passes):
        kept = persistent and number
        with run.epoch(loader, start_ms=0.5 if kept else start_ms, first_ms=0.0 if kept else first_ms):
            for _ in range(batches):
                run.batch(loader, 4.0)
                run.train(4, 8, 1)
    return run.evidence()


def test_slow_names_the_loader_and_saves_the_start(tmp_path):
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [1]
    assert '+loader = DataLoader(rows, num_workers=2, multiprocessing_context="fork")' in verdict.diagnosis.fix.diff
    fixed = record(tmp_path / "fixed", method="fork", start_ms=24.0, first_ms=10.0)
    assert verdict.saved_s == pytest.approx(evidence.partition.loop_s - fixed.partition.loop_s, rel=0.05)


def test_a_start_of_seconds_counts_in_a_short_run_too(tmp_path):
    evidence = record(tmp_path, start_ms=1000.0, first_ms=2000.0, passes=5, persistent=True)
    verdict = ask(RULE, evidence)
    assert verdict.saved_s == pytest.approx(3.0, abs=0.1)
    assert "once, however long the training" in verdict.diagnosis.summary


def test_fixed_is_forked(tmp_path):
    assert ask(RULE, record(tmp_path, method="fork", start_ms=24.0, first_ms=10.0)).status == "not-applicable"


def test_later_starts_are_left_to_worker_restart(tmp_path):
    evidence = record(tmp_path, passes=5)
    restart, spawn = ask("worker-restart-each-epoch", evidence), ask(RULE, evidence)
    whole = 5 * 12.0
    assert restart.saved_s == pytest.approx(whole * 4 / 5, rel=0.1)
    assert spawn.saved_s == pytest.approx(whole / 5, rel=0.1)
    joint = examine(evidence).joint
    assert joint.saved_s == pytest.approx(restart.saved_s + spawn.saved_s, rel=0.05)
    assert joint.saved_s <= whole


def test_kept_workers_leave_the_first_start(tmp_path):
    assert ask(RULE, record(tmp_path, passes=5, persistent=True)).saved_s == pytest.approx(12.0, rel=0.1)


@pytest.mark.parametrize("case", ["device", "threads"])
def test_where_forking_is_not_safe_no_fork_is_advised(tmp_path, case):
    source = SOURCE if case == "device" else f"import threading\n{SOURCE}"
    settings = {"devices": ["H200"]} if case == "device" else {"num_threads": 1}
    run = record(tmp_path, source=source, **settings)
    verdict = ask(RULE, run)
    assert verdict.status == "found" or "hardly" not in verdict.outcome.reason
    for diagnosis, _ in verdict.found:
        assert diagnosis.fix.diff == ""
        assert "Fork" not in diagnosis.fix.text


def test_a_quick_start_passes(tmp_path):
    """Near miss: spawned, and there at once."""
    assert ask(RULE, record(tmp_path, start_ms=5.0, first_ms=10.0)).status == "passed"


def test_a_long_run_hardly_notices(tmp_path):
    """Near miss: a start of 0.3 s in a loop of a minute."""
    assert ask(RULE, record(tmp_path, start_ms=100.0, first_ms=200.0, batches=4000)).status == "passed"


def test_without_workers_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1)
    with run.epoch(loader):
        for _ in range(20):
            run.batch(loader, 4.0)
            run.train()
    assert ask(RULE, run.evidence()).status == "not-applicable"


def test_a_large_pickle_is_told_from_imports(tmp_path):
    run = SyntheticRun(tmp_path, f"import threading\n{SOURCE}")
    loader = run.loader(2, num_workers=2, context="spawn")
    with run.inside("loader_start", loader.subject):
        run.spend(30_000.0, 3, below=[("/usr/lib/python3.11/multiprocessing/reduction.py", 60, "dump")])
    loader.spawn_ms = 30_000.0
    with run.epoch(loader, first_ms=500.0):
        for _ in range(200):
            run.batch(loader, 4.0)
            run.train(4, 8, 1)
    verdict = ask(RULE, run.evidence())
    assert "Keep big state out of the dataset object" in verdict.diagnosis.fix.text

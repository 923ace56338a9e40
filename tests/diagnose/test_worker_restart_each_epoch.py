from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
loader = DataLoader(images, batch_size=32, num_workers=2)
for epoch in range(5):
    for batch in loader:
        step(batch)
"""
RULE = "worker-restart-each-epoch"
EPOCHS, BATCHES = 5, 40


def record(tmp_path, *, persistent=False, start_ms=60.0, first_ms=200.0, stop_ms=50.0, batches=BATCHES, workers=2):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(run.line("DataLoader("), num_workers=workers, persistent_workers=persistent)
    for epoch in range(EPOCHS):
        new = epoch == 0 or not persistent
        with run.epoch(
            loader,
            start_ms=start_ms if new else 1.0,
            first_ms=first_ms if new else 0.0,
            stop_ms=0.2 if persistent else stop_ms,
        ):
            for _ in range(batches):
                run.batch(loader, 8.0, 2.0)
                run.train(4.0, 8.0, 1.0)
    return run.evidence()


def test_slow_names_the_loader_and_what_the_restarts_cost(tmp_path):
    slow = record(tmp_path / "slow")
    verdict = ask(RULE, slow)
    assert verdict.lines == [1]
    truth = slow.partition.loop_s - record(tmp_path / "fixed", persistent=True).partition.loop_s
    assert truth == pytest.approx(4 * 0.26 + 5 * 0.05, rel=0.05)
    assert verdict.saved_s == pytest.approx(truth, rel=0.03)
    assert verdict.diagnosis.fix.diff == (
        "-loader = DataLoader(images, batch_size=32, num_workers=2)\n"
        "+loader = DataLoader(images, batch_size=32, num_workers=2, persistent_workers=True)"
    )


def test_persistent_workers_pass(tmp_path):
    assert ask(RULE, record(tmp_path, persistent=True)).status == "passed"


def test_cheap_forks_before_long_passes_pass(tmp_path):
    """Near miss: the workers do restart, but a pass lasts ten seconds and a fork 30 ms."""
    verdict = ask(RULE, record(tmp_path, start_ms=20.0, first_ms=10.0, stop_ms=5.0, batches=800))
    assert verdict.status == "passed"


def test_the_first_batch_of_kept_workers_is_no_restart(tmp_path):
    """Near miss: a batch that takes long to make is waited for at the head of each pass, with kept workers too."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1, num_workers=4)
    for _ in range(5):
        with run.epoch(loader, start_ms=1.0):
            for _ in range(30):
                run.batch(loader, 60.0, 2.0)
                run.train(8.0, 14.0, 2.0)
    verdict = ask(RULE, run.evidence())
    assert verdict.status == "passed"


def test_without_workers_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, workers=0)).status == "not-applicable"

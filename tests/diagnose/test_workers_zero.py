from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
loader = DataLoader(images, batch_size=32)
for batch in loader:
    net(batch).backward()
    optimizer.step()
"""
RULE = "workers-zero"
BATCHES = 100


def record(tmp_path, fetch_ms=8.0, collate_ms=2.0, workers=0):
    run = SyntheticRun(tmp_path, SOURCE, cores=8)
    loader = run.loader(1, num_workers=workers)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, fetch_ms, collate_ms)
            run.train(4.0, 8.0, 1.0)
    return run.evidence()


def test_slow_names_the_loader_and_saves_what_overlap_hides(tmp_path):
    """Batches of 10 ms against steps of 13 ms: with workers the step alone remains."""
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [1]
    assert verdict.saved_s == pytest.approx(BATCHES * 0.010, rel=0.15)
    assert "persistent_workers=True" in verdict.diagnosis.fix.diff


def test_with_workers_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, workers=2)).status == "not-applicable"


def test_cheap_batches_pass(tmp_path):
    """Near miss: no workers, but a batch takes less than handing it over would."""
    assert ask(RULE, record(tmp_path, fetch_ms=0.3, collate_ms=0.1)).status == "passed"


def test_a_loader_that_evaluation_waits_for_is_no_input_of_the_steps(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE, cores=8)
    loader, held_out = run.loader(1, num_workers=2), run.loader(2)
    for _ in range(5):
        with run.epoch(loader):
            for _ in range(20):
                run.batch(loader, 1.0)
                run.train()
        run.evaluate(held_out, 20, fetch_ms=20.0)
    found = examine(run.evidence()).findings
    assert "workers-zero" in {finding.rule for finding in found}
    assert "input" not in {finding.bottleneck for finding in found}

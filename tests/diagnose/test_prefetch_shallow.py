from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
loader = DataLoader(images, batch_size=32, num_workers=2)
for batch in loader:
    train(batch)
"""
RULE = "prefetch-shallow"
BATCHES = 240
PERIOD = 24
SLOW = 4


def record(tmp_path, *, prefetch=2, slow_ms=80.0, fast_ms=4.0, step_ms=13.0, batch_bytes=1_000_000, recorded=True):
    """Of 24 batches, four in a row take `slow_ms` in both workers, the others `fast_ms`."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1, num_workers=2, prefetch_factor=prefetch)
    loader.tensor_bytes, loader.hand_over_ms = batch_bytes, 0.1
    with run.epoch(loader):
        for number in range(BATCHES):
            slow = number % PERIOD >= PERIOD - SLOW
            run.batch(loader, slow_ms if slow else fast_ms)
            run.train(0.4 * step_ms, 0.5 * step_ms, 0.1 * step_ms)
    if not recorded:
        loader.made = []
    return run.evidence()


def test_slow_recommends_a_depth_and_says_what_memory_it_takes(tmp_path):
    """Both workers need 160 ms for a slow spell, in which the loop could use up twelve batches."""
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [1]
    waited_s = evidence.loaders[0].wait_s
    assert verdict.saved_s == pytest.approx(waited_s, rel=0.2)
    depth = verdict.diagnosis.evidence["recommended prefetch_factor"]
    assert depth in (8, 16)
    assert f"{2 * depth} MB" in verdict.diagnosis.fix.text
    assert f"num_workers=2, prefetch_factor={depth})" in verdict.diagnosis.fix.diff


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, prefetch=16)).status == "passed"


def test_too_little_on_average_passes(tmp_path):
    """Near miss: one slow spell without end."""
    verdict = ask(RULE, record(tmp_path, fast_ms=80.0))
    assert verdict.status == "passed"
    assert "too slowly" in verdict.outcome.reason


def test_a_queue_counts_where_workers_are_too_few_as_well(tmp_path):
    """Both need 18 ms for a batch of a step of 13; with a longer queue the loop waits for no more than the rest."""
    evidence = record(tmp_path, slow_ms=200.0)
    least_s = BATCHES * (SLOW * 200.0 + (PERIOD - SLOW) * 4.0) / PERIOD / 2 / 1e3
    verdict = ask(RULE, evidence)
    assert "and slow spells" in verdict.diagnosis.summary
    assert verdict.saved_s == pytest.approx(evidence.partition.loop_s - least_s, rel=0.2)


def test_one_slow_batch_with_others_ready_is_for_head_of_line(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1, num_workers=4)
    loader.hand_over_ms = 0.1
    with run.epoch(loader):
        for number in range(BATCHES):
            run.batch(loader, 200.0 if number % 15 == 0 else 4.0)
            run.train()
    verdict = ask(RULE, run.evidence())
    assert verdict.status == "passed"
    assert "head-of-line" in verdict.outcome.reason


def test_size_that_was_not_read_is_not_made_up(tmp_path):
    fix = ask(RULE, record(tmp_path, batch_bytes=-1)).diagnosis.fix
    assert "was not measured" in fix.text


def test_workers_that_did_not_record_are_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, recorded=False)).status == "not-checked"

from __future__ import annotations

from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
loader = DataLoader(images, batch_size=32, num_workers=4)
for batch in loader:
    train(batch)
"""
RULE = "head-of-line"
BATCHES = 240


def record(tmp_path, *, slow_ms=200.0, fast_ms=4.0, workers=4, torch="2.13.0", recorded=True, **settings):
    """One batch in 15 takes `slow_ms`, the others `fast_ms`; a step takes 13."""
    run = SyntheticRun(tmp_path, SOURCE)
    run.settings(torch=torch)
    loader = run.loader(1, num_workers=workers, **settings)
    loader.hand_over_ms = 0.1
    with run.epoch(loader):
        for number in range(BATCHES):
            run.batch(loader, slow_ms if number % 15 == 7 else fast_ms)
            run.train(4.0, 8.0, 1.0)
    if not recorded:
        loader.made = []
    return run.evidence()


def test_slow_gives_up_the_order_and_says_what_that_means(tmp_path):
    """Three other workers make enough while the fourth is slow: nearly all of the waiting goes."""
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [1]
    waited_s = evidence.loaders[0].wait_s
    assert 0.7 * waited_s < verdict.saved_s <= waited_s
    assert "+loader = DataLoader(images, batch_size=32, num_workers=4, in_order=False)" in verdict.diagnosis.fix.diff
    assert "differs from run to run" in verdict.diagnosis.fix.text


def test_fixed_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, in_order=False)).status == "not-applicable"


def test_even_batches_pass(tmp_path):
    assert ask(RULE, record(tmp_path, slow_ms=4.0)).status == "passed"


def test_both_workers_slow_is_for_prefetch(tmp_path):
    """Near miss: slow spells of all workers, so that nothing is ready."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1, num_workers=2)
    loader.hand_over_ms = 0.1
    with run.epoch(loader):
        for number in range(BATCHES):
            run.batch(loader, 60.0 if number % 24 >= 20 else 4.0)
            run.train(4.0, 8.0, 1.0)
    verdict = ask(RULE, run.evidence())
    assert verdict.status == "passed"
    assert "only" in verdict.outcome.reason


def test_workers_that_cannot_keep_up_are_too_few(tmp_path):
    """Near miss: every batch is slow, and no order makes that less."""
    assert "too slowly" in ask(RULE, record(tmp_path, fast_ms=200.0)).outcome.reason


def test_order_counts_where_workers_are_too_few_as_well(tmp_path):
    """The workers need 16 ms for a batch of a step of 13; in order, the loop waits for far longer."""
    evidence = record(tmp_path, slow_ms=900.0)
    verdict = ask(RULE, evidence)
    assert verdict.saved_s > 0.5 * evidence.partition.loop_s
    assert examine(evidence).findings[0].rule == RULE


def test_one_worker_and_an_old_torch_do_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path / "one", workers=1)).status == "not-applicable"
    assert ask(RULE, record(tmp_path / "old", torch="2.5.1")).status == "not-applicable"


def test_workers_that_did_not_record_are_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, recorded=False)).status == "not-checked"

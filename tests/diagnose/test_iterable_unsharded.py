from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
class Lines(IterableDataset):
    def __iter__(self):
        for line in open(self.path):
            yield parse(line)

loader = DataLoader(Lines(), batch_size=32, num_workers=2)
for batch in loader:
    net(batch).backward()
    optimizer.step()
"""
RULE = "iterable-unsharded"
BATCHES = 100


def record(tmp_path, digests=lambda number, worker: 10 + number, workers=2, iterable=True, ends=True):
    """`digests`: of the batch that is `number` in its worker."""
    run = SyntheticRun(tmp_path, SOURCE, cores=8)
    loader = run.loader(6, num_workers=workers, iterable=iterable, dataset="Lines", persistent_workers=True)
    for _ in range(2 if ends else 1):
        with run.epoch(loader):
            for asked in range(BATCHES):
                number, worker = divmod(asked, max(workers, 1))
                run.batch(loader, 2.0, 0.5, digest=digests(number, worker) if number < 3 else 0)
                run.train(4.0, 8.0, 1.0)
            if not ends:
                return run.evidence()
    return run.evidence()


def test_slow_names_the_loop_and_halves_the_pass(tmp_path):
    """Two workers: half of 200 steps of 13 ms are repeated."""
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines[0] == 3, "the loop that yields, not the method"
    assert verdict.saved_s == pytest.approx(BATCHES * 0.013, rel=0.05)
    assert "+        for line in itertools.islice(open(self.path), first, None, step):" in verdict.diagnosis.fix.diff


def test_more_workers_would_make_more_of_the_same(tmp_path):
    """The workers are too slow for the step by far, and twice as many would make each pass twice as long."""
    run = SyntheticRun(tmp_path, SOURCE, cores=8)
    loader = run.loader(6, num_workers=2, iterable=True, dataset="Lines", persistent_workers=True)
    for _ in range(2):
        with run.epoch(loader):
            for asked in range(BATCHES):
                number = asked // 2
                run.batch(loader, 40.0, 0.5, digest=10 + number if number < 3 else 0)
                run.train(2.0, 2.0, 1.0)
    evidence = run.evidence()
    assert "see iterable-unsharded" in ask("workers-too-few", evidence).outcome.reason
    assert examine(evidence).findings[0].rule == RULE


def test_saves_no_more_than_the_repeated_part(tmp_path):
    verdict = ask(RULE, record(tmp_path, workers=4))
    low, expected, high = verdict.found[0][1].speedup
    assert 1.0 <= low <= expected <= high <= 4.05
    assert expected == pytest.approx(4.0, rel=0.15)  # the replay is held back, not pushed


def test_without_the_end_of_a_pass_it_is_a_risk_without_a_saving(tmp_path):
    evidence = record(tmp_path, ends=False)
    assert ask(RULE, evidence).diagnosis.changes == []
    finding = next(each for each in examine(evidence).findings if each.rule == RULE)
    assert (finding.severity, finding.saving.basis, finding.saving.seconds) == ("medium", "none", 0.0)
    assert "2 times" in finding.risk


def test_split_data_passes(tmp_path):
    assert ask(RULE, record(tmp_path, lambda number, worker: 10 + 2 * number + worker)).status == "passed"


def test_one_batch_alike_is_chance(tmp_path):
    """Near miss: both workers begin with the same batch, and go on with different ones."""
    assert ask(RULE, record(tmp_path, lambda number, worker: 10 + number * (1 + worker))).status == "passed"


def test_constant_data_tells_nothing(tmp_path):
    assert ask(RULE, record(tmp_path, lambda number, worker: 7)).status == "not-checked"


def test_recordings_without_digests_are_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, lambda number, worker: 0)).status == "not-checked"


@pytest.mark.parametrize(("workers", "iterable"), [(1, True), (0, True), (2, False)])
def test_other_loaders_do_not_apply(tmp_path, workers, iterable):
    assert ask(RULE, record(tmp_path, workers=workers, iterable=iterable)).status == "not-applicable"

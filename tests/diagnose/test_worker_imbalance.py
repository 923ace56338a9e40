from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
class Shards(IterableDataset):
    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        yield from read(self.files[info.id])


loader = DataLoader(Shards(files), batch_size=32, num_workers=4)
for batch in loader:
    train(batch)
"""
RULE = "worker-imbalance"
BATCHES = 200


def record(tmp_path, *, first_shard=140, fetch_ms=30.0, step_ms=10.0, iterable=True, recorded=True):
    """Worker 0 has `first_shard` of 200 batches, the others share the rest."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(7, num_workers=4, iterable=iterable, length=None if iterable else BATCHES)
    rest = (BATCHES - first_shard) // 3
    turns = [worker for _ in range(rest) for worker in range(4)]
    turns += [0] * (BATCHES - len(turns))
    with run.epoch(loader):
        for worker in turns:
            run.batch(loader, fetch_ms, worker=worker)
            run.train(0.4 * step_ms, 0.5 * step_ms, 0.1 * step_ms)
    if not recorded:
        loader.made = []
    return run.evidence()


def test_slow_names_the_sharding_and_saves_the_waits_of_the_tail(tmp_path):
    """120 batches are left to one worker, each 20 ms longer than a step; four workers hide all of them."""
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [4, 7]
    assert verdict.saved_s == pytest.approx(120 * 0.020, rel=0.2)
    assert "info.num_workers" in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.evidence["workers"]["rows"][0][:2] == [0, 140]


def test_others_leave_it_alone(tmp_path):
    evidence = record(tmp_path)
    for rule in ("workers-too-few", "prefetch-shallow", "head-of-line"):
        assert "worker-imbalance" in ask(rule, evidence).outcome.reason


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, first_shard=50)).status == "passed"


def test_a_large_shard_that_nobody_waits_for_passes(tmp_path):
    """Near miss: one worker does most of the work, and is still quicker than the step."""
    assert ask(RULE, record(tmp_path, fetch_ms=8.0)).status == "passed"


def test_indices_are_dealt_out_evenly_so_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, iterable=False)).status == "not-applicable"


def test_workers_that_did_not_record_are_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, recorded=False)).status == "not-checked"

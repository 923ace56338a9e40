from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
class Files(Dataset):
    def __getitem__(self, index):
        return decode(open(self.paths[index], "rb").read())


loader = DataLoader(Files())
"""
RULE = "cache-thrash"
BATCHES, PASSES = 60, 3
READ = 9 * 10**9  # in all


def record(tmp_path, *, stored=READ, free=2 * 10**9, fetch_ms=40.0, cpu=0.2, first_ms=None, passes=PASSES):
    run = SyntheticRun(tmp_path, SOURCE, cores=1)
    loader = run.loader(6, num_workers=1, persistent_workers=True)
    loader.gained = {"rchar": READ, "read_bytes": stored, "involuntary_switches": 0}
    loader.hand_over_ms = 0.1
    for number in range(passes):
        with run.epoch(loader):
            for _ in range(BATCHES):
                ms = fetch_ms if number or first_ms is None else first_ms
                run.batch(loader, ms, fetch_lines={3: ms}, fetch_cpu=cpu)
                run.train()
    evidence = run.evidence()
    evidence.__dict__["available_bytes"] = free
    return evidence


@pytest.fixture(autouse=True)
def one_worker_is_best(monkeypatch):
    """The curve is a model of its own, with tests of its own."""
    monkeypatch.setattr("slowprobe.diagnose.making_parts.better_workers", lambda run, loader: loader.num_workers)


def test_slow_says_how_much_smaller_the_data_must_be(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [3]
    assert "A pass reads 3 GB and 2 GB of memory are free" in verdict.diagnosis.summary
    assert "1.7 times smaller" in verdict.diagnosis.fix.text
    waited_s = PASSES * BATCHES * 0.040 * 0.8
    assert verdict.saved_s == pytest.approx(waited_s * (1 - 0.4), rel=0.15)


def test_storage_bound_yields_to_it(tmp_path):
    assert examine(record(tmp_path)).outcomes["storage-bound"].reason == f"{RULE} names the same line"


def test_fixed_fits_and_passes(tmp_path):
    verdict = ask(RULE, record(tmp_path, free=4 * 10**9))
    assert verdict.status == "passed" and "are free" in verdict.outcome.reason


def test_what_memory_serves_passes(tmp_path):
    """Near miss: larger than what is free now, and yet in memory."""
    assert "came from storage" in ask(RULE, record(tmp_path, stored=READ // 10)).outcome.reason


def test_a_cold_first_pass_passes(tmp_path):
    verdict = ask(RULE, record(tmp_path, first_ms=120.0))
    assert verdict.status == "passed" and "later passes find their data in memory" in verdict.outcome.reason


def test_computing_passes(tmp_path):
    assert "waits for storage 10%" in ask(RULE, record(tmp_path, cpu=0.9)).outcome.reason


def test_one_pass_is_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, passes=1)).status == "not-checked"

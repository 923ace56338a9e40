from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.rules.cold_cache import REMAINING

SOURCE = """\
class Files(Dataset):
    def __getitem__(self, index):
        return decode(open(self.paths[index], "rb").read())


loader = DataLoader(Files())
"""
RULE = "cold-cache"
BATCHES = 200


def record(tmp_path, *, first_ms=100.0, later_ms=5.0, passes=3, workers=0, stored=10**9):
    run = SyntheticRun(tmp_path, SOURCE, cores=4)
    loader = run.loader(6, num_workers=workers, persistent_workers=True)
    loader.gained = {"rchar": 10**9, "read_bytes": stored}
    loader.hand_over_ms = 0.1
    for number in range(passes):
        with run.epoch(loader):
            for _ in range(BATCHES):
                ms = later_ms if number else first_ms
                run.batch(loader, ms, fetch_lines={3: ms}, fetch_cpu=0.1)
                run.train()
    return run.evidence()


def test_slow_names_the_line_and_part_of_the_first_pass(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [3]
    assert "20.0 times as long" in verdict.diagnosis.summary
    assert verdict.saved_s == pytest.approx(BATCHES * 0.095 * (1 - REMAINING.expected), rel=0.02)


def test_with_workers_only_the_waiting_counts(tmp_path):
    verdict = ask(RULE, record(tmp_path, workers=1))
    waited_s = BATCHES * (0.100 - 0.013)
    assert verdict.saved_s == pytest.approx(waited_s * (1 - REMAINING.expected), rel=0.1)


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, first_ms=6.0)).status == "passed"


def test_seconds_once_a_training_pass(tmp_path):
    """Near miss: as dear by ratio, over in four seconds."""
    verdict = ask(RULE, record(tmp_path, first_ms=25.0))
    assert verdict.status == "passed" and "once a training" in verdict.outcome.reason


def test_a_slow_first_pass_without_storage_passes(tmp_path):
    """Near miss: the dataset fills a cache of its own."""
    verdict = ask(RULE, record(tmp_path, workers=1, stored=0))
    assert verdict.status == "passed" and "hardly a byte" in verdict.outcome.reason


def test_one_pass_is_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, passes=1)).status == "not-checked"

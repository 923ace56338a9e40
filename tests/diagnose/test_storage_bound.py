from __future__ import annotations

import pytest
from synthetic import LIBRARY, SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.rules.storage_bound import REMAINING

SOURCE = """\
class Blobs(Dataset):
    def __getitem__(self, index):
        raw = os.pread(self.file, 1 << 22, index << 22)
        time.sleep(0.01)
        answer = requests.get(self.address)
        row = self.rows[index].copy()
        return blur(raw)


loader = DataLoader(Blobs())
"""
RULE = "storage-bound"
BATCHES, ITEMS = 150, 32
NETWORK = [(f"{LIBRARY}/site-packages/requests/api.py", 70, "get")]


def record(
    tmp_path,
    text="os.pread",
    *,
    ms=26.0,
    cpu=0.1,
    workers=1,
    cores=1,
    switches=0,
    stored=0,
    below=(),
    train=(2, 4, 1),
    tried=None,
):
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    run.tried = tried or {}
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    loader.gained = {"involuntary_switches": switches, "rchar": 10**9, "read_bytes": stored}
    line = run.line(text)
    with run.epoch(loader):
        for _ in range(BATCHES):
            lines = {line: ms, run.line("blur("): 1.0}
            run.batch(loader, ms + 2, 0.5, fetch_lines=lines, fetch_cpu=cpu, below={line: below})
            run.train(*train)
    return run.evidence()


@pytest.fixture
def one_worker_is_best(monkeypatch):
    """The curve is a model of its own, with tests of its own."""
    monkeypatch.setattr("slowprobe.diagnose.making_parts.better_workers", lambda run, loader: loader.num_workers)


@pytest.mark.usefixtures("one_worker_is_best")
class TestWhereWorkersDoNotHelp:
    def test_slow_names_the_line_and_saves_most_of_the_waiting(self, tmp_path):
        evidence = record(tmp_path)
        verdict = ask(RULE, evidence)
        assert verdict.lines == [3]
        assert "waits for storage 90% of its time" in verdict.diagnosis.summary
        assert "1 GB a pass" in verdict.diagnosis.fix.text
        spared = BATCHES * 0.028 * 0.9 * (1 - REMAINING.expected)
        assert verdict.saved_s == pytest.approx(spared, rel=0.1)

    def test_data_that_fit_into_memory_are_read_as_fast_as_was_tried(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Evidence, "available_bytes", 4_000_000_000)
        verdict = ask(RULE, record(tmp_path, tried={"read_ms_per_mb": 1.5}))
        of_memory_s = 1e9 / BATCHES / 1e6 * 1.5e-3
        assert verdict.saved_s == pytest.approx(BATCHES * (0.026 - of_memory_s), rel=0.05)
        assert verdict.diagnosis.basis == "calibrated replay"

    def test_slow_transform_yields_to_it(self, tmp_path):
        assert examine(record(tmp_path)).outcomes["slow-transform"].status == "passed"

    def test_a_mapped_array_is_known_by_what_storage_delivers(self, tmp_path):
        stored = BATCHES * ITEMS * 8192
        assert ask(RULE, record(tmp_path, "self.rows[index]", stored=stored)).lines[:2] == [6, 7]
        assert ask(RULE, record(tmp_path / "memory", "self.rows[index]")).status == "passed"

    def test_fixed_reads_from_memory_and_passes(self, tmp_path):
        assert ask(RULE, record(tmp_path, ms=1.0, cpu=1.0)).status == "passed"

    @pytest.mark.parametrize(("text", "below"), [("time.sleep", ()), ("requests.get", ()), ("requests.get", NETWORK)])
    def test_a_sleep_or_the_network_is_no_storage(self, tmp_path, text, below):
        verdict = ask(RULE, record(tmp_path, text, below=below))
        assert "network, a lock or a sleep" in verdict.outcome.reason

    def test_waiting_for_a_core_is_no_storage(self, tmp_path):
        """Near miss: as much off the CPU, and its core was taken away 3500 times."""
        verdict = ask(RULE, record(tmp_path, switches=3500))
        assert "other than for a core" in verdict.outcome.reason

    def test_a_cold_first_pass_is_no_steady_state(self, tmp_path):
        run = SyntheticRun(tmp_path, SOURCE, cores=1)
        loader = run.loader(run.line("DataLoader("))
        line = run.line("os.pread")
        for number in range(4):
            with run.epoch(loader):
                for _ in range(40):
                    ms = 40.0 if number == 0 else 4.0
                    run.batch(loader, ms, fetch_lines={line: ms}, fetch_cpu=0.1)
                    run.train(2, 4, 1)
        verdict = ask(RULE, run.evidence())
        assert "the first pass reads from storage (10.0 times as dear)" in verdict.outcome.reason

    def test_a_loader_that_keeps_up_passes(self, tmp_path):
        assert "hardly waits" in ask(RULE, record(tmp_path, train=(20, 30, 1))).outcome.reason


def test_workers_that_hide_the_waiting_own_it(tmp_path):
    """Near miss: one worker waits for storage, and four would wait at the same time."""
    verdict = ask(RULE, record(tmp_path, cores=8))
    assert verdict.status == "passed"
    assert "workers-too-few" in verdict.outcome.reason


def test_where_cpu_time_was_not_read_it_is_not_checked(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(10, num_workers=2)
    with run.epoch(loader):
        for _ in range(20):
            run.batch(loader, 20.0, fetch_cpu=-1.0)
            run.train()
    assert ask(RULE, run.evidence()).status == "not-checked"

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine
from slowprobe.run.schema import Resources
from slowprobe.run.worker_records import WorkerResources

SOURCE = """\
class Paths(Dataset):
    def __getitem__(self, index):
        return load(self.paths[index])
loader = DataLoader(Paths(), batch_size=32, num_workers=2)
"""
RULE = "cow-memory-growth"
GB = 1_000_000_000


def record(tmp_path, uss=(0.2, 0.4, 0.6), rss=(4.0, 4.0, 4.0), length=1000, free=12.0, batches=100, **attrs):
    """The machine of the synthetic run has 17 GB; `batches` take 1.3 s, the readings are 0.5 s apart."""
    run = SyntheticRun(tmp_path, SOURCE, cores=8)
    loader = run.loader(4, dataset="Paths", **{"num_workers": 2, "context": "fork", "length": length, **attrs})
    loader.resources = [
        WorkerResources(
            at_ns=(number + 1) * 500_000_000,
            cpu_ns=0,
            uss_bytes=None if own is None else round(own * GB),
            rss_bytes=round(resident * GB),
        )
        for number, (own, resident) in enumerate(zip(uss, rss, strict=False))
    ]
    reading = Resources(at_ns=0, cpu_s=0.0, rss_bytes=0, system_busy_s=0.0, available_bytes=round(free * GB))
    run._journal.write(reading)
    with run.epoch(loader):
        for _ in range(batches):
            run.batch(loader, 1.0)
            run.train(4.0, 8.0, 1.0)
    return run.evidence()


def test_growth_that_ends_in_a_large_part_of_memory_is_a_risk(tmp_path):
    """0.8 GB/s, two workers, 12 s to go: more than the 6.8 GB that are still shared, which is all there is to copy."""
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [1, 4]
    assert verdict.diagnosis.changes == []
    assert verdict.diagnosis.evidence["to come in this pass, MB"] == pytest.approx(6800, rel=0.01)
    finding = next(each for each in examine(evidence).findings if each.rule == RULE)
    assert (finding.severity, finding.saving.basis, finding.saving.seconds) == ("medium", "none", 0.0)


def test_more_than_is_free_is_high(tmp_path):
    finding = next(each for each in examine(record(tmp_path, free=5.0)).findings if each.rule == RULE)
    assert finding.severity == "high"
    assert "runs out" in finding.risk


def test_arrays_pass(tmp_path):
    assert ask(RULE, record(tmp_path, uss=(0.2, 0.2, 0.2))).status == "passed"


def test_growth_that_ends_early_passes(tmp_path):
    """Near miss: workers copy as fast, but the pass is nearly over."""
    assert ask(RULE, record(tmp_path, length=105)).status == "passed"


def test_a_cache_is_no_copy(tmp_path):
    """Near miss: resident memory grows as much, so these are new objects."""
    assert ask(RULE, record(tmp_path, rss=(4.0, 4.2, 4.4))).status == "passed"


@pytest.mark.parametrize("uss", [(None, None, None), (0.2,), (None, 0.4)])
def test_without_two_readings_it_is_not_checked(tmp_path, uss):
    assert ask(RULE, record(tmp_path, uss=uss)).status == "not-checked"


@pytest.mark.parametrize("attrs", [{"context": "spawn"}, {"num_workers": 0}])
def test_without_forked_workers_it_does_not_apply(tmp_path, attrs):
    assert ask(RULE, record(tmp_path, **attrs)).status == "not-applicable"

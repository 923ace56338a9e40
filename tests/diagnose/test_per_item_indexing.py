from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
class Rows(Dataset):
    def __getitem__(self, i):
        return self.x[i], self.y[i]
loader = DataLoader(rows, batch_size=32, shuffle=True, num_workers=0)
for batch in loader:
    net(batch).backward()
    optimizer.step()
"""
RULE = "per-item-indexing"
BATCHES = 300


def record(tmp_path, source=SOURCE, size=32 * 256, fetch_ms=0.5, collate_ms=0.5, workers=0, step_ms=1.0, **attrs):
    run = SyntheticRun(tmp_path, source, cores=4)
    loader = run.loader(4, num_workers=workers, **{"dataset": "Rows", "arrays": "x,y", **attrs})
    if size:
        run.batch_bytes(loader, size)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, fetch_ms, collate_ms)
            run.train(step_ms, step_ms, 0.5)
    return run.evidence()


@pytest.mark.parametrize("attrs", [{}, {"dataset": "TensorDataset", "arrays": "tensors"}])
def test_slow_names_the_loader_and_saves_three_quarters(tmp_path, attrs):
    verdict = ask(RULE, record(tmp_path, **attrs))
    assert verdict.lines == [4]
    assert verdict.saved_s == pytest.approx(BATCHES * 0.001 * 0.75, rel=0.05)
    new = "rows, batch_size=None, sampler=BatchSampler(RandomSampler(rows), batch_size=32, drop_last=False)"
    if attrs:
        collate = "collate_fn=lambda numbers: rows[torch.tensor(numbers)])"
        new = f"range(len(rows)), batch_size=32, shuffle=True, num_workers=0, {collate}"
    assert f"+loader = DataLoader({new}" in verdict.diagnosis.fix.diff


@pytest.mark.parametrize("of", [{"subset_of": "Rows"}, {"subset_of": "TensorDataset", "arrays": "tensors"}])
def test_a_subset_only_chooses_the_rows(tmp_path, of):
    """``random_split``: torch's Subset hands a list of rows on, so the edit is the same."""
    verdict = ask(RULE, record(tmp_path, dataset="Subset", **of))
    assert verdict.saved_s == pytest.approx(BATCHES * 0.001 * 0.75, rel=0.05)
    assert f"{of['subset_of']} is in memory" in verdict.diagnosis.summary
    of_rows = of["subset_of"] == "Rows"
    assert ("The Subset hands the list on" in verdict.diagnosis.fix.text) == of_rows
    by_list, by_tensor = (
        "batch_size=None, sampler=BatchSampler(",
        "rows.dataset[torch.tensor([rows.indices[number] for ",
    )
    assert (by_list if of_rows else by_tensor) in verdict.diagnosis.fix.diff


def test_one_rule_owns_the_loader(tmp_path):
    evidence = record(tmp_path, fetch_ms=0.7, collate_ms=0.7)
    assert ask(RULE, evidence).status == "found"
    assert ask("workers-zero", evidence).status == "passed"
    assert ask("collate-heavy", evidence).status == "passed"


def test_fixed_loader_passes(tmp_path):
    assert ask(RULE, record(tmp_path, batch_size=None, fetch_ms=0.1, collate_ms=0.0)).status == "passed"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 32 * 48_000},
        {"fetch_ms": 5.0},
        {"collate": "my_collate"},
        {"arrays": "x"},
        {"dataset": "Subset"},
        {"source": SOURCE.replace("self.x[i],", "augment(self.x[i]),")},
        {"source": SOURCE.replace("self.x[i],", "self.x[i + 1],")},
        {"source": ""},
        {"step_ms": 40.0},
    ],
)
def test_near_misses_pass(tmp_path, change):
    """Large rows, dear items, another collate, a list among the attributes, more than indexing, long steps."""
    assert ask(RULE, record(tmp_path, **change)).status == "passed"


def test_without_sizes_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, size=0)).status == "not-checked"


def test_a_loader_that_was_not_seen_is_not_checked(tmp_path):
    evidence = record(tmp_path, workers=2)
    for recording in evidence.worker_recordings:
        recording.run.records.clear()
    assert ask(RULE, evidence).status == "not-checked"

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
def collate(items):
    images = torch.tensor([image for image, _ in items])
    return images
loader = DataLoader(images, collate_fn=collate)
for batch in loader:
    net(batch).backward()
    optimizer.step()
class Images(Dataset):
    def __getitem__(self, index):
        values = read(index).tolist()
        return torch.tensor(values, dtype=torch.float32)
    def other(self, index):
        return torch.tensor(crop(decode(index)))
"""
RULE = "list-to-tensor"
BATCHES = 100
SLOW = 500_000  # bytes that 16 ms of conversion make: 31 MB/s


def record(
    tmp_path, source=SOURCE, size=SLOW, workers=0, fetch_ms=1.0, collate_ms=16.0, collate_line=2, fetch=None, step=1
):
    run = SyntheticRun(tmp_path, source, cores=2)
    loader = run.loader(4, num_workers=workers, collate="collate")
    if size:
        run.batch_bytes(loader, size)
    collate_lines = {collate_line: collate_ms} if collate_line else {}
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, fetch_ms, collate_ms, collate_lines=collate_lines, fetch_lines=fetch or {})
            run.train(2.0 * step, 3.0 * step, 1.0)
    return run.evidence()


@pytest.mark.parametrize("workers", [0, 1])
def test_slow_collate_names_the_line_and_saves_its_time(tmp_path, workers):
    verdict = ask(RULE, record(tmp_path, workers=workers))
    assert verdict.lines == [2]
    expected = BATCHES * 16.0 * 0.95 if not workers else BATCHES * (17.0 - 6.0)
    assert verdict.saved_s == pytest.approx(expected / 1000, rel=0.1)
    assert "+images = torch.from_numpy(np.stack([image for image, _ in items]))" in verdict.diagnosis.fix.diff


def test_one_rule_owns_the_line(tmp_path):
    evidence = record(tmp_path, fetch_ms=0.2, step=5)
    assert ask(RULE, evidence).status == "found"
    assert ask("collate-heavy", evidence).status == "passed"
    assert "list-to-tensor" in ask("collate-heavy", evidence).outcome.reason
    assert ask("workers-zero", evidence).status == "passed"


def test_slow_dataset_line_is_not_named_as_a_transform(tmp_path):
    evidence = record(tmp_path, fetch_ms=16.0, collate_ms=0.2, collate_line=None, fetch={11: 16.0})
    verdict = ask(RULE, evidence)
    assert verdict.lines == [11]
    assert "+return torch.from_numpy(np.asarray(values)).to(torch.float32)" in verdict.diagnosis.fix.diff
    assert ask("slow-transform", evidence).status == "passed"


def test_fixed_source_passes(tmp_path):
    fixed = SOURCE.replace("torch.tensor([image for image, _ in items])", "torch.from_numpy(np.stack(items))")
    assert ask(RULE, record(tmp_path, fixed)).status == "passed"


def test_a_copy_of_large_arrays_passes(tmp_path):
    """Near miss: the same call and the same time, for batches so large that it must be copying."""
    assert ask(RULE, record(tmp_path, size=50_000_000)).status == "passed"


def test_other_work_on_the_line_passes(tmp_path):
    """Near miss: torch.tensor of what something else makes, in the dataset."""
    evidence = record(tmp_path, fetch_ms=16.0, collate_ms=0.2, collate_line=None, fetch={13: 16.0})
    assert ask(RULE, evidence).status == "passed"


def test_a_loop_that_does_not_wait_passes(tmp_path):
    assert ask(RULE, record(tmp_path, workers=4)).status == "passed"


def test_without_sizes_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, size=0)).status == "not-checked"


def test_without_loaders_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(30):
        run.train()
    assert ask(RULE, run.evidence()).status == "not-applicable"

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
class Images(Dataset):
    def __getitem__(self, index):
        image = resize(self.images[index])
        return image


loader = DataLoader(Images(), batch_size=32)
"""
RULE = "repeated-deterministic-prep"
BATCHES, PASSES = 25, 4


def record(
    tmp_path, *, same=True, transforms=None, passes=PASSES, compared=True, workers=0, fetch_ms=(20.0,), train=(4, 8, 1)
):
    run = SyntheticRun(tmp_path, SOURCE, cores=1)
    loader = run.loader(7, num_workers=workers)
    run.batch_bytes(loader, 32 * 3 * 64 * 64 * 4)
    for number in range(passes):
        with run.epoch(loader):
            for _ in range(BATCHES):
                ms = fetch_ms[min(number, len(fetch_ms) - 1)]
                run.batch(loader, ms, 0.5, fetch_lines={3: 0.9 * ms})
                run.train(*train)
    if compared:
        run.items(loader, passes, same=same, transforms=transforms or {})
    return run.evidence()


def test_slow_saves_all_passes_but_the_first(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [3]
    assert "All of 16 items" in verdict.diagnosis.summary
    look_up_s = 32 * 1e-6
    assert verdict.saved_s == pytest.approx((PASSES - 1) * BATCHES * (0.020 - look_up_s), rel=0.02)
    assert "+    @functools.cache" in verdict.diagnosis.fix.diff


def test_the_first_transforms_are_kept_where_only_later_ones_change(tmp_path):
    whole_ms = 1000.0 * BATCHES * PASSES * 0.020
    transforms = {"Resize": (True, 0.5 * whole_ms), "Flip": (False, 0.3 * whole_ms)}
    verdict = ask(RULE, record(tmp_path, same=False, transforms=transforms))
    assert "What Resize gives is the same" in verdict.diagnosis.summary
    assert verdict.diagnosis.evidence["share of the dataset's time"] == pytest.approx(0.7)
    change = verdict.diagnosis.changes[0]
    assert change.cached.worst == pytest.approx(0.9 * 0.5, abs=0.02) and change.cached.best == pytest.approx(
        0.7, abs=0.02
    )


def test_workers_get_a_list_that_is_made_before_them(tmp_path):
    verdict = ask(RULE, record(tmp_path, workers=1, fetch_ms=(30.0,)))
    assert "range(len(dataset))" in verdict.diagnosis.fix.diff and verdict.saved_s > 0


def test_slow_transform_yields_to_it(tmp_path):
    assert examine(record(tmp_path)).outcomes["slow-transform"].reason == f"{RULE} names the same line"


def test_fixed_keeps_its_items_and_passes(tmp_path):
    verdict = ask(RULE, record(tmp_path, fetch_ms=(20.0, 0.5)))
    assert verdict.status == "passed" and "they are kept" in verdict.outcome.reason


def test_random_items_pass(tmp_path):
    """Near miss: all transforms but the first, which is random, would give the same if that did."""
    verdict = ask(RULE, record(tmp_path, same=False, transforms={"Crop": (False, 400), "Resize": (False, 1500)}))
    assert verdict.status == "passed" and "16 of 16 items differ" in verdict.outcome.reason


def test_rows_of_an_array_pass(tmp_path):
    """Near miss: the same each time, and as cheap as a look-up."""
    verdict = ask(RULE, record(tmp_path, fetch_ms=(0.4,)))
    assert verdict.status == "passed" and "hardly waits" in verdict.outcome.reason


def test_one_pass_is_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, passes=1)).status == "not-checked"


def test_a_loader_without_indices_is_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, compared=False)).status == "not-checked"


def test_what_does_not_fit_into_memory_goes_to_a_file(tmp_path):
    evidence = record(tmp_path)
    evidence.__dict__["available_bytes"] = 1_000_000
    (loader,) = evidence.loaders
    object.__setattr__(loader, "length", BATCHES)
    verdict = ask(RULE, evidence)
    assert "numpy.memmap" in verdict.diagnosis.fix.text and not verdict.diagnosis.fix.diff

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.rules._collate_kinds import LEFT, TRIED

SOURCE = """\
def collate(items):
    longest = max(len(item) for item in items)
    rows = [item.tolist() + [0] * (longest - len(item)) for item in items]
    return torch.tensor(rows)


loader = DataLoader(texts, collate_fn=collate)
for batch in loader:
    step(batch)
"""
RULE = "collate-heavy"
BATCHES = 150


def record(tmp_path, *, fetch_ms=2.0, collate_ms=6.0, workers=0, collate="collate", remains=1.0, lines=True):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(run.line("DataLoader("), num_workers=workers, collate=collate)
    with run.epoch(loader):
        for _ in range(BATCHES):
            cost = collate_ms * remains
            hot = {run.line("rows ="): 0.7 * cost, run.line("torch.tensor"): 0.3 * cost} if lines else {}
            run.batch(loader, fetch_ms, cost, collate_lines=hot)
            run.train(4.0, 8.0, 1.0)
    return run.evidence()


def test_slow_names_the_lines_of_the_collate_function(tmp_path):
    slow = record(tmp_path / "slow")
    verdict = ask(RULE, slow)
    assert verdict.lines == [3, 4]
    assert [where.share for where in verdict.diagnosis.where] == pytest.approx([0.7, 0.3], abs=0.01)
    fixed = record(tmp_path / "fixed", remains=LEFT["lists"].expected)
    assert verdict.saved_s == pytest.approx(slow.partition.loop_s - fixed.partition.loop_s, rel=0.01)
    assert "from_numpy(np.stack" in verdict.diagnosis.fix.text
    assert ask(RULE, record(tmp_path / "mended", remains=0.01)).status == "passed"


def test_slow_in_workers_names_their_lines(tmp_path):
    verdict = ask(RULE, record(tmp_path, workers=1, fetch_ms=8.0, collate_ms=20.0))
    assert verdict.lines == [3, 4]
    assert verdict.saved_s > 0


def test_without_lines_the_loader_is_named(tmp_path):
    verdict = ask(RULE, record(tmp_path, lines=False))
    assert verdict.lines == [7]


def test_default_collate_is_named_with_its_own_range(tmp_path):
    verdict = ask(RULE, record(tmp_path, lines=False, collate="default_collate"))
    assert verdict.lines == [7]
    assert "__getitems__" in verdict.diagnosis.fix.text
    assert verdict.saved_s == pytest.approx(BATCHES * 0.006 * 0.4, rel=0.01)


def test_workers_that_hide_it_keep_it_quiet(tmp_path):
    """Near miss: collating takes three quarters of making a batch, and two workers make batches faster than needed."""
    verdict = ask(RULE, record(tmp_path, workers=2))
    assert verdict.status == "passed"
    assert "hardly waits" in verdict.outcome.reason


def test_a_plain_copy_passes(tmp_path):
    """Near miss: the loop waits for its batches, but for the dataset, not for collate."""
    assert ask(RULE, record(tmp_path, fetch_ms=8.0, collate_ms=1.0)).status == "passed"


def test_without_a_loader_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path)
    for _ in range(20):
        run.train()
        run.python(1.0)
    assert ask(RULE, run.evidence()).status == "not-applicable"


def test_unrecorded_workers_are_not_checked(tmp_path):
    run = SyntheticRun(tmp_path)
    loader = run.loader(7, num_workers=2)
    with run.epoch(loader):
        for _ in range(20):
            run.batch(loader, 8.0)
            run.train()
    loader.made = []
    assert ask(RULE, run.evidence()).status == "not-checked"


POINTS = """\
def pad(clouds):
    batch = torch.zeros(len(clouds), 60, 3)
    for number, cloud in enumerate(clouds):
        for point in range(len(cloud)):
            batch[number, point] = cloud[point]
    return batch


loader = DataLoader(clouds, collate_fn=pad)
"""
ROWS = """\
def pad(clouds):
    batch = torch.zeros(len(clouds), 60, 3)
    for number, cloud in enumerate(clouds):
        batch[number, : len(cloud)] = cloud
    return batch


loader = DataLoader(clouds, collate_fn=pad)
"""
ONCE = """\
def pad(clouds):
    return pad_sequence(clouds, batch_first=True)


loader = DataLoader(clouds, collate_fn=pad)
"""
CATS = """\
def pad(clouds):
    return torch.stack([torch.cat((cloud, torch.zeros(60 - len(cloud), 3))) for cloud in clouds])


loader = DataLoader(clouds, collate_fn=pad)
"""


def padding(tmp_path, source, text, tried=None):
    run = SyntheticRun(tmp_path, source)
    loader = run.loader(run.line("DataLoader("), num_workers=0, collate="pad")
    run.tried = {f"loader.{loader.subject}.{name}_ms": ms for name, ms in (tried or {}).items()}
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 0.1, 6.0, collate_lines={run.line(text): 6.0})
            run.train(1.0, 2.0, 0.5)
    return ask(RULE, run.evidence())


@pytest.mark.parametrize(
    ("source", "text", "kind", "advice"),
    [
        (POINTS, "batch[number, point]", "elements", "torch.stack(items)"),
        (ROWS, "batch[number, :", "rows", "pad_sequence"),
        (CATS, "torch.cat", "padding", "pad_sequence"),
    ],
)
def test_what_remains_is_read_off_the_hot_line(tmp_path, source, text, kind, advice):
    verdict = padding(tmp_path, source, text)
    assert verdict.saved_s == pytest.approx(BATCHES * 0.006 * (1 - LEFT[kind].expected), rel=0.01)
    assert advice in verdict.diagnosis.fix.text


def test_a_batch_that_was_tried_says_what_remains(tmp_path):
    verdict = padding(tmp_path, POINTS, "batch[number, point]", {"padded": 0.2, "stacked": 0.1})
    assert verdict.saved_s == pytest.approx(BATCHES * (0.006 - 0.0002 * TRIED.expected), rel=0.01)
    assert verdict.diagnosis.basis == "calibrated replay"


def test_one_copy_has_nothing_to_gain(tmp_path):
    """Near miss: collating is nearly all of making a batch, and pads it in one call."""
    assert padding(tmp_path, ONCE, "pad_sequence(").status == "passed"


def test_one_copy_without_samples_has_nothing_to_gain(tmp_path):
    run = SyntheticRun(tmp_path, ONCE)
    loader = run.loader(run.line("DataLoader("), num_workers=0, collate="pad")
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 0.1, 6.0)
            run.train(1.0, 2.0, 0.5)
    assert ask(RULE, run.evidence()).status == "passed"


def test_default_collate_of_large_tensors_is_a_copy(tmp_path):
    run = SyntheticRun(tmp_path, ONCE)
    loader = run.loader(run.line("DataLoader("), num_workers=0, collate="default_collate")
    run.tried = {f"loader.{loader.subject}.stacked_ms": 5.9}
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 0.1, 6.0)
            run.train(1.0, 2.0, 0.5)
    assert ask(RULE, run.evidence()).status == "passed"


def test_batches_that_are_not_collated_pass(tmp_path):
    """Near miss: batch_size=None; what it would take to stack such a batch was tried all the same."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(run.line("DataLoader("), collate="default_convert", batch_size=None)
    run.tried = {f"loader.{loader.subject}.stacked_ms": 0.5}
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 6.0, 0.0)
            run.train(4.0, 8.0, 1.0)
    assert ask("collate-heavy", run.evidence()).outcome.reason == "collating takes 0% of making a batch"

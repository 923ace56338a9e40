from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.annotated import AnnotatedStep
from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

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


HELD = """\
class Windows(Dataset):
    def __init__(self, file):
        self.names = names_of(file)
        self.rows = [[float(cell) for cell in line.split(",")] for line in file]
        self.table = np.stack(self.rows)
        self.some, self.other = parts(file)

    def __getitem__(self, at):
        return torch.tensor(self.rows[at : at + 168])

loader = DataLoader(Windows())
PAIRS = [[1, 2], [3, 4]]
"""
ARGUMENT = "self.rows[at : at + 168]"


@pytest.mark.parametrize(
    ("argument", "status"),
    [
        (ARGUMENT, "found"),
        ("self.rows", "found"),
        ("self.rows[at]", "found"),
        ("PAIRS[at]", "found"),
        ("self.rows[at][0]", "passed"),
        ("self.table[at : at + 168]", "passed"),
        ("self.names[at]", "passed"),
        ("self.other[at:]", "passed"),
        ("other.rows[at]", "passed"),
        ("at[:3]", "passed"),
    ],
)
def test_an_attribute_that_is_given_a_list_is_one(tmp_path, argument, status):
    """Near misses: a number of a list, an array, and what the source does not tell."""
    source = HELD.replace(ARGUMENT, argument)
    evidence = record(tmp_path, source, workers=1, fetch_ms=16.0, collate_ms=0.2, collate_line=None, fetch={9: 16.0})
    assert ask(RULE, evidence).status == status


def test_a_list_of_lists_is_converted_before_it_is_given_more_workers(tmp_path):
    """The rules that know less of the line, or do the same work elsewhere, come after."""
    evidence = record(tmp_path, HELD, workers=1, fetch_ms=16.0, collate_ms=0.2, collate_line=None, fetch={9: 16.0})
    found = examine(evidence)
    assert found.findings[0].rule == RULE
    assert "slow-transform" not in {finding.rule for finding in found.findings}
    assert "+self.rows = torch.tensor(self.rows)" in found.findings[0].fix.diff
    assert "+return self.rows[at : at + 168]" in found.findings[0].fix.diff
    assert "convert it once" in found.findings[0].fix.text


def test_what_remains_of_a_list_that_is_held_is_a_slice_an_item(tmp_path):
    """32 items of 2.5 µs in the place of 16 ms."""
    evidence = record(tmp_path, HELD, workers=0, fetch_ms=16.0, collate_ms=0.2, collate_line=None, fetch={9: 16.0})
    assert ask(RULE, evidence).saved_s == pytest.approx(BATCHES * (16.0 - 32 * 2.5e-3) / 1000, rel=0.02)


def test_an_attribute_that_is_given_an_array_later_is_no_list(tmp_path):
    source = HELD.replace("self.table = np.stack(self.rows)", "self.rows = np.stack(self.rows)")
    evidence = record(tmp_path, source, fetch_ms=16.0, collate_ms=0.2, collate_line=None, fetch={9: 16.0})
    assert ask(RULE, evidence).status == "passed"


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


LOOP = """\
def learn(memory):
    rows = random.sample(memory, 256)
    states, actions = zip(*rows)
    states = torch.tensor(states)
    loss = net(states).mean()
    loss.backward()
    optimizer.step()
for turn in range(100):
    learn(memory)
"""
DIMS = [256, 96]


def record_loop(tmp_path, source=LOOP, ms=6.0, dims=DIMS, kind="float", stacked_ms=None, below=()):
    """Without a loader: `ms` of a step of 12 ms more on the line of the conversion."""
    run = SyntheticRun(tmp_path, source)
    line = run.line("torch.tensor(")
    for _ in range(BATCHES):
        run.python(ms, line, "learn", below=below)
        run.train(4.0, 7.0, 1.0)
    if stacked_ms is not None:
        run.tried["made.256x96.float.stacked_ms"] = stacked_ms
    evidence = run.evidence()
    step = AnnotatedStep()
    if dims is not None:
        step.op("aten::lift_fresh", 1.0, [dims], types=[kind], line=line)
    step.op("aten::mm", 4000.0, [[256, 96], [96, 96]], types=["float", "float"], line=line + 1)
    vars(evidence)["annotated_ops"] = step.tree(tmp_path)
    return evidence


@pytest.mark.parametrize(("dims", "stacked_ms", "left"), [(DIMS, None, 0.05), (None, None, 0.05), (DIMS, 0.3, 0.1)])
def test_a_step_that_makes_its_batch_itself(tmp_path, dims, stacked_ms, left):
    verdict = ask(RULE, record_loop(tmp_path, dims=dims, stacked_ms=stacked_ms))
    assert verdict.lines == [4]
    assert verdict.saved_s == pytest.approx(BATCHES * 6.0 * (1 - left) / 1000, rel=0.02)
    assert "+states = torch.from_numpy(np.asarray(states))" in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.basis == ("stated range" if stacked_ms is None else "calibrated replay")


def test_pythons_line_is_named_once(tmp_path):
    rules = [finding.rule for finding in examine(record_loop(tmp_path)).findings]
    assert RULE in rules and "python-bound" not in rules


@pytest.mark.parametrize(
    "changed",
    [
        {"source": LOOP.replace("torch.tensor(states)", "torch.tensor(np.stack(states))")},  # the fixed twin
        {"source": LOOP.replace("torch.tensor(states)", "torch.tensor(table)"), "dims": [4096, 4096]},  # a copy
        {"source": LOOP.replace("torch.tensor(states)", "torch.tensor([crop(state) for state in states])")},
        {"below": [("/usr/lib/python3.11/library.py", 1, "read")]},
        {"ms": 0.3},
    ],
)
def test_near_misses_in_the_step_pass(tmp_path, changed):
    assert ask(RULE, record_loop(tmp_path, **changed)).status == "not-applicable"

from __future__ import annotations

import pytest
from synthetic import LIBRARY, SCRIPT, SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
class Rows(Dataset):
    def __getitem__(self, index):
        row = np.load(self.files[index])
        image = Image.open(self.files[index]).convert("RGB")
        same = np.load(self.path)
        return smooth(row)


loader = DataLoader(Rows())
"""
RULE = "small-files"
BATCHES, ITEMS = 150, 32
READING = [(f"{LIBRARY}/site-packages/numpy/lib/_npyio_impl.py", 450, "load")]
DECODING = [(f"{LIBRARY}/site-packages/PIL/ImageFile.py", 300, "ImageFile.load")]


def record(tmp_path, text="np.load(self.files", *, ms=20.0, workers=2, opens=1.0, kb=4, below=READING, train=(2, 4, 1)):
    run = SyntheticRun(tmp_path, SOURCE, cores=2)
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    line = run.line(text)
    items = BATCHES * ITEMS / max(workers, 1)
    if opens is not None:
        loader.gained = {
            "opens": int(opens * items),
            "rchar": int(kb * 1024 * items),
            "open_sites": [(SCRIPT, line, "Rows.__getitem__", 20)],
        }
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, ms + 4, 0.5, fetch_lines={line: ms, run.line("smooth("): 3.0}, below={line: below})
            run.train(*train)
    return run.evidence()


def test_slow_names_the_line_and_the_shard(tmp_path):
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [3]
    assert "1 files of 4.0 KB are opened for each item" in verdict.diagnosis.summary
    assert "here 24500 items" in verdict.diagnosis.fix.text
    assert "+row = self.items[index]" in verdict.diagnosis.fix.diff
    fixed = record(tmp_path / "fixed", ms=ITEMS * 0.002)
    assert verdict.saved_s == pytest.approx(evidence.partition.loop_s - fixed.partition.loop_s, rel=0.1)


def test_general_rules_yield_to_it(tmp_path):
    found = examine(record(tmp_path))
    assert found.outcomes["slow-transform"].reason == "small-files names the same line"


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, opens=0.0, ms=1.0)).outcome.reason == "0 files are opened an item"


def test_large_files_pass(tmp_path):
    """Near miss: a file an item, of 2 MB."""
    assert "large" in ask(RULE, record(tmp_path, kb=2048)).outcome.reason


def test_decoding_small_files_is_decode_bounds(tmp_path):
    """Near miss: a file an item, and the line's time goes to decoding it."""
    evidence = record(tmp_path, "Image.open", below=DECODING)
    assert ask(RULE, evidence).status == "passed"
    assert ask("decode-bound", evidence).status == "found"


def test_the_same_file_is_file_reopeneds(tmp_path):
    """Near miss: one open an item, always of the same file."""
    evidence = record(tmp_path, "np.load(self.path)")
    assert ask(RULE, evidence).status == "passed"
    assert ask("file-reopened", evidence).status == "found"


def test_a_loader_that_keeps_up_passes(tmp_path):
    assert "hardly waits" in ask(RULE, record(tmp_path, train=(20, 30, 1))).outcome.reason


@pytest.mark.parametrize(("workers", "opens"), [(0, 1.0), (2, None)])
def test_where_reads_are_not_counted_it_is_not_checked(tmp_path, workers, opens):
    assert ask(RULE, record(tmp_path, workers=workers, opens=opens)).status == "not-checked"


ALONE = """\
class Rows(Dataset):
    def __getitems__(self, numbers):
        paths = [self.folder / f"{number:05d}.npy" for number in numbers]
        rows = torch.from_numpy(np.stack([np.load(path) for path in paths]))
        for path in paths:
            with path.open("rb") as file:
                header = json.loads(file.read())
        if self.index is None:
            self.index = np.load(self.folders[numbers[0]])
        member = self.archive.open(self.names[numbers[0]])
        return rows


loader = DataLoader(Rows())
"""


def alone(tmp_path, text, below=READING, *, ms=20.0, kb=2.0, calls=3.0):
    """No workers: the training process makes the batches."""
    run = SyntheticRun(tmp_path, ALONE, cores=2)
    loader = run.loader(run.line("DataLoader("))
    run.reads(loader, items=ITEMS, kb=kb, calls=calls)
    line = run.line(text)
    with run.epoch(loader):
        for _ in range(BATCHES):
            lines = {line: ms}
            run.batch(loader, ms + 2, 0.1, fetch_lines=lines, function="Rows.__getitems__", below={line: below})
            run.train(2, 4, 1)
    return run.evidence()


def test_without_workers_a_line_that_opens_another_file_each_time_is_seen(tmp_path):
    verdict = ask(RULE, alone(tmp_path, "np.load(path)"))
    assert verdict.lines == [4]
    assert "A file of 2.0 KB is opened for each item" in verdict.diagnosis.summary
    assert verdict.saved_s == pytest.approx(BATCHES * (0.020 - ITEMS * 2e-6), rel=0.01)
    assert ask(RULE, alone(tmp_path / "path", "path.open", ())).lines == [6]


def test_it_goes_before_workers(tmp_path):
    assert [finding.rule for finding in examine(alone(tmp_path, "np.load(path)")).findings][:1] == [RULE]


@pytest.mark.parametrize("text", ["self.index = np.load", "self.archive.open"])
def test_what_is_opened_once_or_within_an_archive_is_no_file_an_item(tmp_path, text):
    """Near miss: a condition around the call; a member of an open archive."""
    assert ask(RULE, alone(tmp_path, text)).outcome.reason == "0 files are opened an item"


@pytest.mark.parametrize(("kb", "calls"), [(2048, 30), (2, 0.1)])
def test_without_workers_large_files_and_such_as_are_not_read_pass(tmp_path, kb, calls):
    assert ask(RULE, alone(tmp_path, "np.load(path)", kb=kb, calls=calls)).status == "passed"

from __future__ import annotations

import pytest
from synthetic import LIBRARY, SCRIPT, SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine
from slowprobe.diagnose.same_reading import reads_items
from slowprobe.run.record import Site

SOURCE = """\
class Rows(Dataset):
    def __getitem__(self, index):
        with h5py.File(self.path, "r") as file:
            row = file["rows"][index]
        one = np.load(self.files[index])
        path = os.path.join(self.folder, "rows.npy")
        two = np.load(path)[index]
        if self.kept is None:
            self.kept = lmdb.open(self.path)
        three = read(self.path, index)
        name = self.names[index]
        four = np.load(name)
        return row


def read(path, index):
    return zarr.open(path)[index]


@functools.cache
def kept(path):
    return np.load(path)


class Stream(IterableDataset):
    def __iter__(self):
        file = h5py.File(self.path)
        for row in file["rows"]:
            yield row


loader = DataLoader(Rows())
"""
RULE = "file-reopened"
BATCHES = 150
OPENING = [(f"{LIBRARY}/site-packages/h5py/_hl/files.py", 500, "File.__init__")]
ITEM = [(SCRIPT, 10, "Rows.__getitem__")]


def record(
    tmp_path, text, *, ms=20.0, workers=2, function="Rows.__getitem__", above=(), train=(2, 4, 1), resources=None
):
    run = SyntheticRun(tmp_path, SOURCE, cores=2)
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    loader.gained = resources or {}
    line = run.line(text)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(
                loader, ms + 2, 0.5, fetch_lines={line: ms}, function=function, below={line: OPENING}, above=above
            )
            run.train(*train)
    return run.evidence()


def test_slow_names_the_line_and_keeps_the_file_open(tmp_path):
    evidence = record(tmp_path, "h5py.File(self.path, ")
    verdict = ask(RULE, evidence)
    assert verdict.lines == [3]
    assert "contextlib.nullcontext(opened(os.getpid(), self.path" in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.title == "h5py.File opens the same file for every item"
    fixed = record(tmp_path / "fixed", "h5py.File(self.path, ", ms=2.0)
    assert verdict.saved_s == pytest.approx(evidence.partition.loop_s - fixed.partition.loop_s, rel=0.1)


def test_a_path_that_is_made_of_what_stays_the_same(tmp_path):
    verdict = ask(RULE, record(tmp_path, "np.load(path)[index]"))
    assert verdict.lines == [7]
    assert 'mmap_mode="r"' in verdict.diagnosis.fix.diff


def test_a_helper_is_judged_by_what_its_caller_passes(tmp_path):
    verdict = ask(RULE, record(tmp_path, "zarr.open(path)", function="read", above=ITEM))
    assert verdict.lines == [17]


READING = """\
class Rows(Dataset):
    def __getitem__(self, index):
        rows = self.read()
        own = self.part(index)
        return rows[index], own

    def read(self):
        with np.load(self.path) as archive:
            return archive["rows"]

    def part(self, index):
        with open(self.path, "rb") as file:
            table = pickle.load(file)[index]
        with open(self.path, "rb") as file:
            file.seek(8 * index)
            row = file.read(8)
        with h5py.File(self.path) as file:
            mine = file["mine"][index]
            every = file["every"][:]
        with ZipFile(self.path) as archive:
            member = archive.read(self.names[index])
        with open(self.path) as lines:
            for _ in range(index):
                lines.readline()
            text = lines.readline()
        if self.kept is None:
            with np.load(self.path) as once:
                self.kept = once["rows"]
        with np.load(self.files[index]) as own:
            other = own["rows"]
        return Path(self.path).read_text()


loader = DataLoader(Rows())
"""
CALLERS = {"Rows.read": [(SCRIPT, 3, "Rows.__getitem__")], "Rows.part": [(SCRIPT, 4, "Rows.__getitem__")]}


def reading(tmp_path, *texts, function="Rows.part", workers=2):
    """20 ms of a batch on the first line and 1 on each other one."""
    run = SyntheticRun(tmp_path, READING, cores=2)
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    lines = {run.line(text): 1.0 if number else 20.0 for number, text in enumerate(texts)}
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 23.0, 0.5, fetch_lines=lines, function=function, above=CALLERS[function])
            run.train(2, 4, 1)
    return run.evidence()


def test_an_array_of_an_archive_is_read_once_and_kept(tmp_path):
    evidence = reading(tmp_path, 'return archive["rows"]', "np.load(self.path) as archive", function="Rows.read")
    verdict = ask(RULE, evidence)
    assert verdict.lines == [9, 8]
    assert verdict.diagnosis.fix.diff == "-def read(self):\n+@functools.cache\n+def read(self):"
    assert "reading the same from it" in verdict.diagnosis.summary
    assert verdict.diagnosis.evidence["share of making a batch"] == pytest.approx(21 / 23.5, abs=0.01)


@pytest.mark.parametrize("text", ["pickle.load(file)", 'file["every"]', "read_text"])
def test_what_is_the_same_for_each_item_is_read_again(tmp_path, text):
    assert ask(RULE, reading(tmp_path, text)).status == "found"


@pytest.mark.parametrize(
    "text",
    ["file.read(8)", 'file["mine"]', "archive.read(", "text = lines", "self.kept = once", 'own["rows"]'],
    ids=["from a place of its own", "a row", "a member", "after lines before it", "once", "a file of its own"],
)
def test_what_the_item_decides_is_its_own(tmp_path, text):
    assert ask(RULE, reading(tmp_path, text)).status == "passed"


def test_general_rules_yield_to_it(tmp_path):
    found = examine(record(tmp_path, "h5py.File(self.path, "))
    assert found.outcomes["slow-transform"].status == "passed"
    assert [finding.rule for finding in found.findings if finding.where and finding.where[0].line == 3] == [RULE]


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, "h5py.File(self.path, ", ms=0.1)).status == "passed"


@pytest.mark.parametrize(
    ("text", "function", "above"),
    [
        ("np.load(self.files[index])", "Rows.__getitem__", ()),
        ("np.load(name)", "Rows.__getitem__", ()),
        ("lmdb.open(self.path)", "Rows.__getitem__", ()),
        ("return np.load(path)", "kept", ITEM),
        ("zarr.open(path)", "read", ()),
        ("file = h5py.File(self.path)", "Stream.__iter__", ()),
    ],
    ids=["a file an item", "a name an item", "opened once", "cached", "caller unknown", "once a pass"],
)
def test_near_misses_pass(tmp_path, text, function, above):
    assert ask(RULE, record(tmp_path, text, function=function, above=above)).status == "passed"


def test_a_loader_that_keeps_up_passes(tmp_path):
    assert ask(RULE, record(tmp_path, "h5py.File(self.path, ", train=(20, 30, 1))).status == "passed"


def test_without_samples_it_is_not_checked(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1, num_workers=2)
    with run.epoch(loader):
        for _ in range(20):
            run.batch(loader, 20.0)
            run.train()
    assert ask(RULE, run.evidence()).status in ("not-checked", "passed")


@pytest.mark.parametrize(("comment", "reads"), [("", False), ("  # the archive of all items", False)])
def test_a_comment_on_the_line_that_opens_is_no_reading(tmp_path, comment, reads):
    source = f"""\
class Rows(Dataset):
    def __getitem__(self, index):
        with zipfile.ZipFile(self.path) as archive:{comment}
            return archive.read(self.names[index])


loader = DataLoader(Rows())
"""
    run = SyntheticRun(tmp_path, source)
    site = Site(SCRIPT, 3, "Rows.__getitem__")
    run.python(1.0, 3)
    assert reads_items(run.evidence().source, site, "zipfile.ZipFile") is reads

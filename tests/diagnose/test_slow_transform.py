from __future__ import annotations

import pytest
from synthetic import SCRIPT, SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine
from slowprobe.diagnose.rules.slow_transform import REMAINING, VECTORISED

SOURCE = """\
def smooth(row):
    kept = 0.0
    for index in range(len(row)):
        kept = 0.9 * kept + 0.1 * row[index]
        row[index] = kept
    return row


class Images(Dataset):
    def __getitem__(self, index):
        row = self.rows[index].copy()
        row = row - row.mean()
        row = blur(row)
        return smooth(row)


loader = DataLoader(Images())
"""
RULE = "slow-transform"
BATCHES = 150


def record(
    tmp_path,
    lines,
    *,
    fetch_ms=30.0,
    workers=0,
    cores=8,
    cpu=1.0,
    train=(2.0, 4.0, 0.5),
    function="Images.__getitem__",
    switches=0,
):
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    loader.gained = {"involuntary_switches": switches}
    hot = {run.line(text): ms for text, ms in lines.items()}
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, fetch_ms, 0.5, fetch_lines=hot, function=function, fetch_cpu=cpu)
            run.train(*train)
    return run.evidence()


BLUR = {"blur(": 20.0, "row.mean": 2.0, "copy()": 3.0}


def test_workers_that_cannot_keep_up_get_the_line(tmp_path):
    """Three workers and the step on four cores: a batch takes 10 ms of all three, the step 6.5 ms."""
    evidence = record(tmp_path, BLUR, workers=3, cores=4)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [13]
    assert "computing 100%" in verdict.diagnosis.summary
    halved = record(tmp_path / "fixed", {**BLUR, "blur(": 10.0}, fetch_ms=20.0, workers=3, cores=4)
    truth = evidence.partition.loop_s - halved.partition.loop_s
    assert REMAINING.expected == 0.5
    assert verdict.saved_s == pytest.approx(truth, rel=0.05)


LOOP = {"kept = 0.9": 12.0, "row[index] = kept": 11.0}


def test_a_loop_is_one_spot(tmp_path):
    verdict = ask(RULE, record(tmp_path, LOOP, workers=2, cores=2, function="smooth"))
    assert verdict.lines == [4, 5]
    assert "The loop in lines 3-5 of smooth takes 75%" in verdict.diagnosis.summary
    assert "array operation" in verdict.diagnosis.fix.text


def test_waiting_is_told_from_computing(tmp_path):
    """On one core, more workers would not wait at the same time for all of it."""
    verdict = ask(RULE, record(tmp_path, BLUR, workers=2, cores=1, cpu=0.35))
    assert verdict.diagnosis.title == "A file or network read holds up the batches"
    assert "local or in-memory copy" in verdict.diagnosis.fix.text


def test_waiting_for_a_core_is_computing(tmp_path):
    """As much off the CPU; in each worker the core was taken away 2000 times, for a millisecond at least."""
    verdict = ask(RULE, record(tmp_path, BLUR, workers=2, cores=1, cpu=0.35, switches=2000))
    assert verdict.diagnosis.title == ""
    assert "computing" in verdict.diagnosis.summary


def test_without_workers_and_without_a_spare_core_it_is_the_line(tmp_path):
    verdict = ask(RULE, record(tmp_path, BLUR, cores=1))
    assert verdict.lines == [13]
    assert verdict.saved_s == pytest.approx(BATCHES * 0.010, rel=0.01)


@pytest.mark.parametrize("cores", [2, 4, 8])
@pytest.mark.parametrize("train", [(2.0, 4.0, 0.5), (8.0, 15.0, 2.0)])
def test_workers_zero_stays_first_where_workers_mend_most(tmp_path, cores, train):
    evidence = record(tmp_path, BLUR, cores=cores, train=train)
    workers = ask("workers-zero", evidence)
    verdict = ask(RULE, evidence)
    assert workers.status == "found"
    assert verdict.status == "passed" or verdict.saved_s < workers.saved_s


def test_workers_that_hide_the_line_keep_it_quiet(tmp_path):
    """Near miss: the same line, six workers."""
    assert ask(RULE, record(tmp_path, BLUR, workers=6)).status == "passed"


def test_a_loader_whose_workers_would_hide_it_is_left_to_workers_zero(tmp_path):
    """Near miss: no workers; four of them would keep up with the step, whatever the line costs."""
    assert ask(RULE, record(tmp_path, BLUR, train=(8.0, 15.0, 2.0))).status == "passed"


def test_costs_that_are_spread_evenly_pass(tmp_path):
    """Near miss: the loop waits for batches, and six lines of the dataset share the cost."""
    lines = dict.fromkeys(("copy()", "row.mean", "blur(", "return smooth", "class Images", "def __getitem__"), 5.0)
    verdict = ask(RULE, record(tmp_path, lines, workers=2))
    assert verdict.status == "passed"


def test_a_library_dataset_passes(tmp_path):
    """Near miss: all of the cost is in code that is not the user's."""
    assert ask(RULE, record(tmp_path, {}, workers=2)).status == "passed"


def test_without_a_loader_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path)
    for _ in range(20):
        run.train()
        run.python(1.0)
    assert ask(RULE, run.evidence()).status == "not-applicable"


BY_VALUE = """\
def distort(picture):
    result = np.empty_like(picture)
    for row in range(len(picture)):
        for column in range(len(picture[row])):
            result[row, column] = picture[row, int(column + math.sin(row))]
    return result


class Images(Dataset):
    def __getitem__(self, index):
        return distort(self.rows[index])


loader = DataLoader(Images())
"""


def test_a_loop_over_values_leaves_what_an_array_operation_takes(tmp_path):
    run = SyntheticRun(tmp_path, BY_VALUE, cores=1)
    loader = run.loader(run.line("DataLoader("), num_workers=0)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 30.0, 0.5, fetch_lines={run.line("result[row"): 30.0}, function="distort")
            run.train(2.0, 4.0, 0.5)
    verdict = ask(RULE, run.evidence())
    assert verdict.saved_s == pytest.approx(BATCHES * 0.030 * (1 - VECTORISED.expected), rel=0.01)


CALLS = """\
def gamma(value):
    return value ** 2 if value > 0.5 else math.sqrt(value)


def opened(path):
    return load(path)


curve = np.frompyfunc(gamma, 1, 1)
table = np.vectorize(opened)


class Scans(Dataset):
    def __getitem__(self, index):
        clean = np.apply_along_axis(np.median, 1, self.windows[index])
        row = np.array(list(map(lambda value: math.log1p(value), clean)))
        bent = curve(row).astype(np.float32)
        files = table(self.files[index])
        parts = list(map(opened, self.parts[index]))
        return np.fft.rfft(bent)


loader = DataLoader(Scans())
"""
ALONG = [("/usr/lib/python3/site-packages/numpy/lib/_shape_base_impl.py", 400, "apply_along_axis")]


def calling(tmp_path, text, ms=24.0, *, inner=None, below=(), train=(2.0, 4.0, 0.5)):
    """One core; `inner`: the line of a function that is called for each value by the line of `text`."""
    run = SyntheticRun(tmp_path, CALLS, cores=1)
    loader = run.loader(run.line("DataLoader("), num_workers=2)
    line, function, above = run.line(text), "Scans.__getitem__", []
    if inner is not None:
        above, line, function = [(SCRIPT, line, function)], run.line(inner), "gamma"
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, ms + 1, 0.1, fetch_lines={line: ms}, function=function, below={line: below}, above=above)
            run.train(*train)
    return run.evidence()


@pytest.mark.parametrize(
    ("text", "inner", "below", "line"),
    [
        ("np.apply_along_axis", None, ALONG, 15),
        ("map(lambda", None, (), 16),
        ("curve(row)", "value ** 2", (), 17),
    ],
)
def test_what_calls_python_for_each_value_leaves_an_array_operation(tmp_path, text, inner, below, line):
    verdict = ask(RULE, calling(tmp_path, text, inner=inner, below=below))
    assert verdict.lines == [line]
    assert "one operation on the whole array" in verdict.diagnosis.fix.text
    (change,) = verdict.diagnosis.changes
    share = 24 / 25 if inner is None else 1.0  # in a synthetic run what is above one line is above all
    assert change.fetch.expected == pytest.approx(1 - (1 - VECTORISED.expected) * share, abs=1e-6)


@pytest.mark.parametrize("text", ["table(self.files", "map(opened"])
def test_files_that_are_mapped_over_are_no_values(tmp_path, text):
    """Near miss: what is called for each of them reads."""
    (change,) = ask(RULE, calling(tmp_path, text)).diagnosis.changes
    assert change.fetch.expected > 0.5


def test_a_plain_line_that_computes_is_an_option_unless_it_is_most_of_the_loop(tmp_path):
    """Near miss: one library call for each item, and nothing says that it could be cheaper."""
    large = examine(calling(tmp_path / "large", "np.fft.rfft", train=(1.0, 1.0, 0.5)))
    assert [f.severity for f in large.findings if f.rule == RULE] in (["medium"], ["high"])
    small = examine(calling(tmp_path, "np.fft.rfft", ms=6.0, train=(4.0, 10.0, 1.0)))
    assert [f.severity for f in small.findings if f.rule == RULE] in ([], ["low"])

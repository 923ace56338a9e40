from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
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

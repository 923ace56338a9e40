from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.run.worker_records import WorkerResources
from slowprobe.timeline.neighbours import Neighbours

SOURCE = """\
loader = DataLoader(images, batch_size=32, num_workers=1)
for batch in loader:
    train(batch)
"""
RULE = "workers-too-few"
BATCHES = 200


def record(
    tmp_path, *, workers=1, fetch_ms=30.0, step_ms=10.0, cores=8, fetch_cpu=1.0, role_step=True, recorded=True, taken=0
):
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    loader = run.loader(1, num_workers=workers)
    for at_ns, involuntary, voluntary in ((0, 0, 0), (10**9, taken, 100)):
        reading = WorkerResources(at_ns=at_ns, cpu_ns=at_ns)
        reading.involuntary_switches, reading.voluntary_switches = involuntary, voluntary
        loader.resources.append(reading)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, fetch_ms, fetch_cpu=fetch_cpu)
            run.train(0.4 * step_ms, 0.5 * step_ms, 0.1 * step_ms) if role_step else run.forward(
                step_ms, training=False, grad=False
            )
    if not recorded:
        loader.made = []
    return run.evidence()


def test_slow_recommends_as_many_as_the_step_uses_up(tmp_path):
    """A batch takes as long as three steps: one worker makes a loop of 30 ms a step, three or four one of 10 ms."""
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [1]
    assert verdict.diagnosis.evidence["recommended num_workers"] in (3, 4, 5)
    assert verdict.saved_s == pytest.approx(BATCHES * 0.020, rel=0.1)
    number = verdict.diagnosis.evidence["recommended num_workers"]
    assert f"+loader = DataLoader(images, batch_size=32, num_workers={number})" in verdict.diagnosis.fix.diff


def test_batches_that_wait_for_storage_need_no_cores(tmp_path):
    """One core, and it has time: the workers sleep."""
    verdict = ask(RULE, record(tmp_path, cores=2, fetch_cpu=0.05))
    assert verdict.diagnosis.evidence["recommended num_workers"] >= 3


@pytest.mark.parametrize(("asks", "warned"), [("", True), ("info = get_worker_info()", False)])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_stream_that_is_not_divided_is_to_be_divided_first(tmp_path, asks, warned, workers):
    source = f"""\
loader = DataLoader(Lines())


class Lines(IterableDataset):
    def __iter__(self):
        {asks or "pass"}
        yield from self.lines
"""
    run = SyntheticRun(tmp_path, source, cores=8)
    loader = run.loader(1, num_workers=workers, iterable=True, dataset="Lines")
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 30.0)
            run.train(4.0, 5.0, 1.0)
    verdict = ask(RULE if workers else "workers-zero", run.evidence())
    assert ("First let Lines.__iter__ yield each worker a part" in verdict.diagnosis.fix.text) == warned


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, workers=4)).status == "passed"


def test_busy_cores_pass(tmp_path):
    """Near miss: one worker cannot keep up, but it and the step have the only two cores for themselves."""
    verdict = ask(RULE, record(tmp_path, cores=1))
    assert verdict.status == "passed"
    assert "cores are at work" in verdict.outcome.reason


def test_enough_on_average_passes(tmp_path):
    """Near miss: a slow batch in ten makes the loop wait; the others are quick."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1, num_workers=1)
    with run.epoch(loader):
        for number in range(BATCHES):
            run.batch(loader, 60.0 if number % 10 == 0 else 1.0)
            run.train()
    verdict = ask(RULE, run.evidence())
    assert verdict.status == "passed"
    assert "often enough" in verdict.outcome.reason


def test_a_loader_that_is_not_waited_for_passes(tmp_path):
    assert ask(RULE, record(tmp_path, fetch_ms=5.0)).status == "passed"


def test_an_evaluation_loader_is_not_looked_at(tmp_path):
    assert ask(RULE, record(tmp_path, role_step=False)).status == "not-applicable"


def test_without_workers_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, workers=0)).status == "not-applicable"


@pytest.mark.parametrize(("taken", "status"), [(900, "not-checked"), (5, "found")])
def test_cores_taken_by_other_programs_are_not_idle(tmp_path, taken, status):
    """Near miss: workers that other programs hold up look as if they waited for storage."""
    evidence = record(tmp_path, fetch_cpu=0.1, taken=taken)
    evidence.__dict__["neighbours"] = Neighbours(busy=1.0, others=0.8)
    assert ask(RULE, evidence).status == status


def test_workers_that_did_not_record_are_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path, recorded=False)).status == "not-checked"

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.rules.worker_threads import REMAINING
from slowprobe.timeline.loop_changes import Scale
from slowprobe.timeline.neighbours import Neighbours

SOURCE = """\
loader = DataLoader(images, batch_size=32, num_workers=4)
for batch in loader:
    train(batch)
def __getitem__(self, index):
    return self.mixing @ load(index)
"""
RULE = "worker-threads"
BATCHES = 120


def record(tmp_path, *, workers=4, cores=4, native_s=1.2, threads=3, delayed=0.5, source=SOURCE, read=True):
    """Workers that make batches of 80 ms, on whose own threads they spend 2 s each."""
    run = SyntheticRun(tmp_path, source, cores=cores)
    run.settings(num_threads=1)
    loader = run.loader(run.line("DataLoader("), num_workers=workers, persistent_workers=True)
    if workers and read:
        made_ms = BATCHES * 80.0 / workers
        loader.gained = {"run_delay_ns": round(delayed * made_ms * 1e6), "native_cpu_ns": round(native_s * 1e9)}
    run.stepped(loader, 1.0)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 80.0, fetch_lines={run.line("mixing @"): 70.0})
            run.train(2.0, 4.0, 1.0)
    evidence = run.evidence()
    for place, facts in enumerate(evidence.loaders):
        mine = tuple(
            replace(worker, cpu_s=2.0 + native_s, native_threads=threads) if read else worker
            for worker in facts.making.workers
        )
        evidence.loaders[place] = replace(facts, making=replace(facts.making, workers=mine))
    return evidence


def test_slow_names_the_loader_and_limits_its_workers(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [1]
    assert "worker_init_fn=one_thread" in verdict.diagnosis.fix.diff
    assert [site.line for site in verdict.diagnosis.covers] == [5]
    assert "threadpoolctl.threadpool_limits(1)" in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.evidence["CPU time of libraries' threads over that of Python's"] == pytest.approx(0.6)
    # Beside three threads that work for 0.6 of its time, 0.2 of its own is theirs: 0.35 of that remains.
    outlook = verdict.found[0][1]
    assert verdict.saved_s == pytest.approx(0.2 * (1 - REMAINING["expected"]) * outlook.before_s, rel=0.15)
    assert outlook.worst_s >= outlook.before_s


def test_opencv_has_a_setting_of_its_own(tmp_path):
    verdict = ask(RULE, record(tmp_path, source="import cv2\n" + SOURCE))
    assert "+    cv2.setNumThreads(0)" in verdict.diagnosis.fix.diff


def test_fixed_has_no_threads_at_work(tmp_path):
    verdict = ask(RULE, record(tmp_path, native_s=0.02))
    assert verdict.status == "passed" and "1%" in verdict.outcome.reason


def test_threads_that_fit_on_the_cores_pass(tmp_path):
    """Near miss: as many threads, and cores for all of them."""
    assert ask(RULE, record(tmp_path, cores=32, delayed=0.01)).status == "passed"
    assert ask(RULE, record(tmp_path / "few", cores=16)).status == "passed"


def test_other_programs_may_have_taken_the_cores(tmp_path):
    evidence = record(tmp_path)
    vars(evidence)["neighbours"] = Neighbours(busy=1.0, others=0.9)
    assert ask(RULE, evidence).status == "not-checked"


def test_not_applicable_without_workers_and_not_checked_without_readings(tmp_path):
    assert ask(RULE, record(tmp_path / "none", workers=0)).status == "not-applicable"
    assert ask(RULE, record(tmp_path / "unread", read=False)).status == "not-checked"


def test_steps_of_one_thread_take_their_cpu_time_once_the_cores_are_free(tmp_path):
    evidence = record(tmp_path)
    model = evidence.loader_models[evidence.loaders[0].id]
    model._machine = replace(model._machine, step_cores=0.25)
    scales = [change for change in ask(RULE, evidence).diagnosis.changes if isinstance(change, Scale)]
    assert {scale.bucket for scale in scales} == {"forward", "backward", "optimizer"}
    left = 0.25 * 0.007 / float(model.alone("expected").consume.mean())  # of steps of 7 ms
    assert left < 0.5
    assert all(scale.factor.expected == pytest.approx(left, rel=0.01) for scale in scales)

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import with_ops

SOURCE = """\
torch.set_num_threads(1)
for x in data:
    net(x).backward()
    optimizer.step()
"""
RULE = "intraop-threads"
STEPS = 50


def record(tmp_path, threads=1, now=8.0, best=2.0, small=0.0, cores=4):
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    run.settings(num_threads=threads)
    for _ in range(STEPS):
        run.forward(10.0, 3)
        run.backward(20.0, 3)
        run.optimizer(1.0, 4)
    costs = {"threads.now_ms": now, "threads.all_ms": best} if now else {}
    return with_ops(run.evidence(), [], 31.0, work=0.9, small=small, costs=costs)


def test_slow_names_the_line_and_saves_part_of_what_the_matmul_gained(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [1]
    assert verdict.saved_s == pytest.approx(30.0 * STEPS / 1000 * 0.9 * 0.5, rel=0.02)
    assert "torch.set_num_threads(4)" in verdict.diagnosis.fix.diff


def test_as_many_threads_as_cores_passes(tmp_path):
    assert ask(RULE, record(tmp_path, threads=4)).status == "passed"


def test_small_operators_would_gain_nothing(tmp_path):
    """Near miss: one thread on four cores, but every operator is below 100 µs."""
    assert ask(RULE, record(tmp_path, small=1.0)).saved_s == 0.0


def test_no_faster_with_all_cores_passes(tmp_path):
    assert ask(RULE, record(tmp_path, now=8.0, best=7.9)).status == "passed"


def test_unmeasured_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, now=0.0)).status == "not-checked"


def beside_workers(tmp_path, making_ms, threads=1, cores=2, best=5.0):
    """Two workers that compute `making_ms` for each step of 31 ms."""
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    run.settings(num_threads=threads)
    loader = run.loader(2, num_workers=2, persistent_workers=True)
    with run.epoch(loader):
        for _ in range(STEPS):
            run.batch(loader, making_ms)
            run.forward(10.0, 3)
            run.backward(20.0, 3)
            run.optimizer(1.0, 4)
    costs = {"threads.now_ms": 8.0, "threads.all_ms": best}
    return with_ops(run.evidence(), [], 31.0, work=0.9, small=0.0, costs=costs)


def test_cores_that_workers_keep_busy_are_not_idle(tmp_path):
    """Near miss: one thread on two cores, and the workers have the other."""
    verdict = ask(RULE, beside_workers(tmp_path, 28.0))
    assert verdict.status == "passed" and "loader workers keep 0.9 busy" in verdict.outcome.reason


def test_workers_that_hardly_compute_leave_the_cores_idle(tmp_path):
    verdict = ask(RULE, beside_workers(tmp_path, 2.0))
    assert "torch.set_num_threads(2)" in verdict.diagnosis.fix.diff
    assert verdict.saved_s == pytest.approx(30.0 * STEPS / 1000 * 0.9 * (1 - 5 / 8) * 2 / 3, rel=0.1)


def test_threads_for_the_cores_that_workers_leave(tmp_path):
    """Eight cores, of which workers take 1.6: the operator is taken to gain what six threads give."""
    verdict = ask(RULE, beside_workers(tmp_path, 50.0, cores=8, best=1.0))
    assert "torch.set_num_threads(6)" in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.evidence["matmul with 6 threads, ms"] == pytest.approx(8 / 6.4, rel=0.05)

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

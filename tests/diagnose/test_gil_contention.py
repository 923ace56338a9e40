from __future__ import annotations

import pytest
from synthetic import SCRIPT, SyntheticRun

from diagnose.asking import ask
from slowprobe.run.record import Site
from slowprobe.timeline.contention import OtherWork

RULE = "gil-contention"
STEPS = 60
SOURCE = """\
def count():
    number += 1
for x in data:
    loss = net(x)
    loss.backward()
    optimizer.step()
    batch = ready.get()
"""
LINE = Site(SCRIPT, 2, "count")


def record(tmp_path, other_s, *, delay_s=0.0, python_cpu_ms=4.0, line=5, callee=None, **settings):
    """Each step: 10 ms of Python on the training thread, `python_cpu_ms` of them on the CPU; and 10 ms of operators."""
    run = SyntheticRun(tmp_path, SOURCE)
    run.settings(**settings)
    for _ in range(STEPS):
        run.forward(4.0, 4)
        run.backward(5.0, 5)
        run.optimizer(1.0, 6)
        run.python(10.0, line, cpu_ms=python_cpu_ms, callee=callee)
    evidence = run.evidence()
    lines = [(LINE, other_s)] if other_s else []
    vars(evidence)["other_threads"] = OtherWork(other_s, lines, "count", delay_s) if other_s else None
    return evidence


def test_the_other_threads_line_is_named_and_its_waiting_saved(tmp_path):
    verdict = ask(RULE, record(tmp_path, 0.6))
    assert verdict.lines == [2]
    assert verdict.saved_s == pytest.approx(6.0 * STEPS / 1000 * 0.8, rel=0.02)


def test_no_more_is_lost_than_the_other_thread_worked(tmp_path):
    assert ask(RULE, record(tmp_path, 0.2)).saved_s == pytest.approx(0.2 * 0.8, rel=0.02)


def test_without_another_thread_it_does_not_apply(tmp_path):
    """Fixed: its work is in another process."""
    assert ask(RULE, record(tmp_path, 0.0)).status == "not-applicable"


def test_a_thread_that_leaves_the_interpreter_alone_passes(tmp_path):
    """Near miss: compression in a thread uses a core, and the training thread does not wait."""
    assert ask(RULE, record(tmp_path, 1.0, python_cpu_ms=10.0)).status == "passed"


def test_a_machine_without_a_core_to_spare_is_no_contention(tmp_path):
    assert ask(RULE, record(tmp_path, 0.6, delay_s=0.35)).status == "passed"


def test_a_queue_of_the_users_own_is_no_contention(tmp_path):
    assert ask(RULE, record(tmp_path, 0.6, line=7, callee="Queue.get")).status == "passed"


def test_a_thread_that_hardly_works_passes(tmp_path):
    assert ask(RULE, record(tmp_path, 0.01)).status == "passed"


def test_where_waiting_cannot_be_told_apart_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path / "delay", 0.6, delay_s=None)).status == "not-checked"
    assert ask(RULE, record(tmp_path / "device", 0.6, devices=["some GPU"])).status == "not-checked"

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.timeline.neighbours import Neighbours

SOURCE = """\
for step, batch in enumerate(loader):
    loss.backward()
    time.sleep(0.005)
    subprocess.run(["nvidia-smi"], stdout=log)
    answer = lock.acquire()
    value = expensive(batch)
    file.write(text)
"""
RULE = "external-wait"
STEPS = 100


def record(tmp_path, *, sleep_ms=0.0, external_ms=0.0, lock_ms=0.0, busy_ms=0.0, write_ms=0.0, evaluating_ms=0.0):
    run = SyntheticRun(tmp_path, SOURCE)
    loader, test_loader = run.loader(None), run.loader(None)
    for epoch in range(2):
        with run.epoch(loader):
            for _ in range(STEPS // 2):
                run.batch(loader, 1.0)
                run.train(4.0, 8.0, 1.0)
                if sleep_ms:
                    run.sleep(sleep_ms, run.line("time.sleep"))
                if external_ms:
                    run.external(external_ms, run.line("subprocess"))
                run.python(lock_ms, run.line("lock.acquire"), cpu_ms=lock_ms * 0.05)
                run.python(busy_ms, run.line("expensive"), cpu_ms=busy_ms * 0.4)
                run.python(write_ms, run.line("file.write"), cpu_ms=0.0)
                run.python(1.0)
        if evaluating_ms and epoch == 0:
            with run.epoch(test_loader):
                for _ in range(10):
                    run.batch(test_loader, 1.0)
                    run.forward(4.0, training=False, grad=False)
                    run.sleep(evaluating_ms, run.line("time.sleep"))
    return run


def test_a_sleep_is_named_and_gone_in_the_replay(tmp_path):
    verdict = ask(RULE, record(tmp_path, sleep_ms=5.0).evidence())
    assert verdict.lines == [3]
    assert verdict.saved_s == pytest.approx(STEPS * 0.005, rel=0.001)
    assert verdict.diagnosis.fix.diff == "-time.sleep(0.005)"


def test_sleeps_of_evaluations_count_where_they_are(tmp_path):
    verdict = ask(RULE, record(tmp_path, evaluating_ms=10.0).evidence())
    assert verdict.saved_s == pytest.approx(0.090, rel=0.2)


def test_a_subprocess_goes_to_the_background(tmp_path):
    verdict = ask(RULE, record(tmp_path, external_ms=8.0).evidence())
    assert verdict.lines == [4]
    assert verdict.saved_s == pytest.approx(STEPS * 0.008, rel=0.001)
    assert "+background.submit(subprocess.run, ['nvidia-smi'], stdout=log)" in verdict.diagnosis.fix.diff


def test_sleep_and_subprocess_are_two_findings(tmp_path):
    verdict = ask(RULE, record(tmp_path, sleep_ms=3.0, external_ms=8.0).evidence())
    assert [diagnosis.where[0].line for diagnosis, _ in verdict.found] == [3, 4]


def test_a_line_that_waits_off_the_cpu_is_named(tmp_path):
    verdict = ask(RULE, record(tmp_path, lock_ms=4.0).evidence())
    assert verdict.lines == [5]
    assert verdict.diagnosis.basis == "stated range"
    assert verdict.saved_s == pytest.approx(STEPS * 0.004 * 0.8, rel=0.01)


def test_a_loop_that_waits_for_nothing_passes(tmp_path):
    assert ask(RULE, record(tmp_path).evidence()).status == "passed"


def test_short_sleeps_pass(tmp_path):
    """Near miss: a sleep in every step, 1 % of it."""
    assert ask(RULE, record(tmp_path, sleep_ms=0.15).evidence()).status == "passed"


def test_busy_lines_on_a_crowded_machine_pass(tmp_path):
    """Near miss: off the CPU for 60 % of its time, because other processes want it."""
    assert ask(RULE, record(tmp_path, busy_ms=5.0).evidence()).status == "passed"


def test_a_thread_without_a_core_does_not_wait_for_anything(tmp_path):
    """Near miss: off the CPU all the time, while other processes keep all cores busy. Sleeps are still sleeps."""
    evidence = record(tmp_path / "lines", lock_ms=4.0).evidence()
    assert ask(RULE, evidence).status == "found"
    vars(evidence)["neighbours"] = Neighbours(busy=0.97, others=0.6)
    assert ask(RULE, evidence).status == "passed"
    evidence = record(tmp_path / "sleep", sleep_ms=5.0).evidence()
    vars(evidence)["neighbours"] = Neighbours(busy=0.97, others=0.6)
    assert ask(RULE, evidence).status == "found"


def test_writes_are_left_to_the_logging_rule(tmp_path):
    """Near miss: off the CPU all the time, in a write."""
    assert ask(RULE, record(tmp_path, write_ms=5.0).evidence()).status == "passed"


def test_waiting_for_a_device_is_left_to_others(tmp_path):
    """Near miss: the thread waits, and there is a GPU that it may well wait for."""
    run = record(tmp_path, lock_ms=4.0)
    run.settings(devices=["H200"])
    assert ask(RULE, run.evidence()).status == "passed"


def test_without_samples_spans_are_still_seen(tmp_path):
    evidence = record(tmp_path, sleep_ms=5.0, lock_ms=4.0).evidence()
    evidence.recording.sampled.rows.clear()
    assert ask(RULE, evidence).lines == [3]


IN_HELPER = """\
def rules():
    return urlopen(address)

for step, batch in enumerate(loader):
    weights = rules()
    loss.backward()
"""


def test_what_is_to_be_handed_over_is_named_where_the_loop_calls_it(tmp_path):
    run = SyntheticRun(tmp_path, IN_HELPER)
    for _ in range(STEPS):
        run.external(8.0, 2, "rules", api="urlopen")
        run.train(4.0, 8.0, 1.0)
    verdict = ask(RULE, run.evidence())
    assert verdict.lines == [5, 2]


def test_a_sleep_in_a_helper_is_taken_out_where_it_is(tmp_path):
    run = SyntheticRun(tmp_path, IN_HELPER.replace("return urlopen(address)", "time.sleep(0.01)"))
    for _ in range(STEPS):
        run.sleep(8.0, 2, "rules")
        run.train(4.0, 8.0, 1.0)
    assert ask(RULE, run.evidence()).lines == [2]

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
import json


def report(step, loss):
    norm = sum(p.grad.norm() for p in model.parameters())
    print(step, loss, norm)


def main():
    for step, batch in enumerate(loader):
        loss = model(batch)
        loss.backward()
        optimizer.step()
        log.info("step %d loss %f", step, loss.item())
        print("gradients", *gradients, file=file, flush=True)
        file.write(json.dumps(metrics))
        file.flush()
        total += loss
        if step % 100 == 0:
            archive.write(text)
    print("epoch")
"""
RULE = "logging-every-step"
STEPS = 200


def record(tmp_path, *, every=1, print_ms=4.0, info_ms=1.0, format_ms=0.0, write_ms=0.0, archive_ms=0.0):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for step in range(STEPS):
            run.batch(loader, 0.5, 0.1)
            run.train(4.0, 8.0, 1.0)
            if step % every == 0:
                if info_ms:
                    run.log(info_ms, run.line("log.info"), api="logging")
                run.python(format_ms, run.line('print("gradients"'))
                if print_ms:
                    run.log(print_ms, run.line('print("gradients"'))
                run.python(write_ms, run.line("file.write"))
                run.python(archive_ms, run.line("archive.write"))
            run.python(1.0, run.line("total +="))
    run.log(1.0, run.line('print("epoch")'))
    return run.evidence()


def test_slow_names_the_dearest_line_first(tmp_path):
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [15, 14]
    assert [where.share for where in verdict.diagnosis.where] == [0.8, 0.2]
    assert verdict.saved_s == pytest.approx(STEPS * 0.005 * 49 / 50, rel=0.01)
    assert "5.0 ms of each step" in verdict.diagnosis.summary
    assert verdict.diagnosis.fix.diff == (
        '-log.info("step %d loss %f", step, loss.item())\n'
        '-print("gradients", *gradients, file=file, flush=True)\n'
        "+if step % 50 == 0:\n"
        '+    log.info("step %d loss %f", step, loss.item())\n'
        '+    print("gradients", *gradients, file=file, flush=True)'
    )


def test_the_prediction_is_what_the_edit_gives(tmp_path):
    slow, fixed = record(tmp_path / "slow"), record(tmp_path / "fixed", every=50)
    truth = slow.partition.loop_s - fixed.partition.loop_s
    assert ask(RULE, slow).saved_s == pytest.approx(truth, rel=0.02)


def test_formatting_on_the_same_line_counts(tmp_path):
    verdict = ask(RULE, record(tmp_path, format_ms=3.0))
    assert verdict.lines == [15, 14]
    assert verdict.saved_s == pytest.approx(STEPS * 0.008 * 49 / 50, rel=0.01)


def test_plain_writes_count_without_any_log_call(tmp_path):
    verdict = ask(RULE, record(tmp_path, print_ms=0, info_ms=0, write_ms=3.0))
    assert verdict.lines == [16]
    assert verdict.diagnosis.fix.diff == (
        "-file.write(json.dumps(metrics))\n-file.flush()\n"
        "+if step % 50 == 0:\n+    file.write(json.dumps(metrics))\n+    file.flush()"
    )
    assert verdict.saved_s == pytest.approx(STEPS * 0.003 * 49 / 50, rel=0.01)


def record_helper(tmp_path, called="report(step, loss)", helper=None, after="total += loss"):
    """A helper that computes for 2 ms and logs for 3, called in the loop."""
    source = SOURCE.replace('log.info("step %d loss %f", step, loss.item())', called).replace("total += loss", after)
    if helper is not None:
        source = source.replace("norm = sum(p.grad.norm() for p in model.parameters())", helper)
    run = SyntheticRun(tmp_path, source)
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(50):
            run.batch(loader, 0.5)
            run.train()
            run.python(2.0, 5, "report")
            run.log(3.0, run.line("print(step"), "report")
    return run.evidence()


def test_a_helper_that_only_logs_is_changed_where_the_loop_calls_it(tmp_path):
    evidence = record_helper(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [evidence.source.find("    report(step").line, 6, 5], (
        "the call in the loop is the line to edit"
    )
    assert verdict.saved_s == pytest.approx(50 * 0.005 * 49 / 50, rel=0.01)
    assert verdict.diagnosis.fix.diff == ("-report(step, loss)\n+if step % 50 == 0:\n+    report(step, loss)")
    assert ask("cpu-metrics-in-step", evidence).status == "passed", "one cause, one finding"


@pytest.mark.parametrize(
    ("called", "helper", "after"),
    [
        ("scale = report(step, loss)", None, "(loss * scale).backward()"),
        ("report(step, loss)", "norm = clip_grad_norm_(model.parameters(), 1.0)", "total += loss"),
    ],
)
def test_what_a_helper_that_logs_computes_may_be_needed(tmp_path, called, helper, after):
    """Near miss: training goes on with the helper's result, or with what it changes."""
    verdict = ask(RULE, record_helper(tmp_path, called, helper, after))
    assert verdict.lines == [6]
    assert verdict.saved_s == pytest.approx(50 * 0.003 * 49 / 50, rel=0.01)


def record_beside(tmp_path, uses='print(f"{accuracy:.2f}")', after="pass", end="pass"):
    """NumPy for 4 ms, and a message of 0.4 ms."""
    source = (
        "for step, (x, y) in enumerate(loader):\n"
        "    loss = model(x)\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
        "    right = np.equal(scores.argmax(1), y)\n"
        "    accuracy = right.mean()\n"
        f"    {uses}\n"
        f"    {after}\n"
        f"{end}\n"
    )
    run = SyntheticRun(tmp_path, source)
    for _ in range(50):
        run.forward(4.0, 2)
        run.backward(8.0, 3)
        run.optimizer(1.0, 4)
        run.python(4.0, 5, "<module>")
        run.log(0.4, 7, "<module>")
    return run.evidence()


def test_what_only_the_log_call_reads_is_loggings(tmp_path):
    evidence = record_beside(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [5, 7]
    assert verdict.saved_s == pytest.approx(49 * 0.0044 * 49 / 50, rel=0.01), "the last message comes after the loop"
    assert verdict.diagnosis.fix.diff == (
        '-right = np.equal(scores.argmax(1), y)\n-print(f"{accuracy:.2f}")\n'
        "+if step % 50 == 0:\n+    right = np.equal(scores.argmax(1), y)\n"
        '+if step % 50 == 0:\n+    print(f"{accuracy:.2f}")'
    )
    assert ask("cpu-metrics-in-step", evidence).status == "passed"


@pytest.mark.parametrize(
    ("after", "end"),
    [("history.append(accuracy)", "pass"), ("mean = 0.9 * mean + 0.1 * accuracy", "pass"), ("pass", "print(accuracy)")],
)
def test_a_metric_that_is_kept_as_well_is_no_matter_of_logging(tmp_path, after, end):
    """Near miss: logged less often, it would still be computed."""
    evidence = record_beside(tmp_path, after=after, end=end)
    assert ask(RULE, evidence).status == "passed"
    assert ask("cpu-metrics-in-step", evidence).lines == [5]


def test_on_a_device_reading_a_value_for_the_log_is_not_its_cost(tmp_path):
    source = SOURCE.replace('print("gradients", *gradients, file=file, flush=True)', 'print("loss", loss.item())')
    run = SyntheticRun(tmp_path, source)
    run.settings(devices=["H200"])
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(50):
            run.batch(loader, 0.5)
            run.train()
            run.python(6.0, run.line("loss.item())"))
            run.log(3.0, run.line("loss.item())"))
    assert ask(RULE, run.evidence()).saved_s == pytest.approx(50 * 0.003 * 49 / 50, rel=0.01)


def test_logging_every_fifty_steps_passes(tmp_path):
    assert ask(RULE, record(tmp_path, every=50)).status == "passed"


def test_cheap_logging_at_each_step_passes(tmp_path):
    """Near miss: a message at every step, but a tenth of a millisecond of it."""
    assert ask(RULE, record(tmp_path, print_ms=0.1, info_ms=0.1)).status == "passed"


def test_dear_but_rare_logging_passes(tmp_path):
    """Near miss: 10 % of loop time, but at every tenth step: an interval that was chosen."""
    assert ask(RULE, record(tmp_path, every=10, print_ms=15.0)).status == "passed"


def test_writes_under_an_interval_pass(tmp_path):
    """Near miss: a write that takes long and stands under ``if step % 100 == 0``."""
    verdict = ask(RULE, record(tmp_path, every=100, print_ms=0, info_ms=0, archive_ms=400.0))
    assert verdict.status in ("passed", "not-applicable")


def test_logging_of_epochs_and_evaluations_passes(tmp_path):
    """Near miss: a message after each short epoch, and one at each batch of an evaluation."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader, test_loader = run.loader(None), run.loader(None)
    for _ in range(10):
        with run.epoch(loader):
            for _ in range(3):
                run.batch(loader, 0.5)
                run.train()
        run.log(20.0, run.line('print("epoch")'))
        with run.epoch(test_loader):
            for _ in range(5):
                run.batch(test_loader, 0.5)
                run.forward(4.0, training=False, grad=False)
                run.log(5.0, 99)
    assert ask(RULE, run.evidence()).status == "passed"


def test_a_silent_loop_is_not_applicable(tmp_path):
    run = SyntheticRun(tmp_path)
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(20):
            run.batch(loader, 0.5)
            run.train()
    assert ask(RULE, run.evidence()).status == "not-applicable"


def test_without_samples_the_spans_are_enough(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(50):
            run.batch(loader, 0.5)
            run.train()
            run.log(4.0, 15)
    evidence = run.evidence()
    evidence.recording.sampled.rows.clear()
    verdict = ask(RULE, evidence)
    assert verdict.lines == [15]
    assert verdict.saved_s == pytest.approx(50 * 0.004 * 0.98, rel=0.01)

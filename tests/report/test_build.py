"""What the document says of a run, from its evidence."""

from __future__ import annotations

import msgspec
from diagnose.operators import line_ops, with_ops
from synthetic import SyntheticRun

from slowprobe.diagnose.engine import examine
from slowprobe.diagnose.evidence import Evidence
from slowprobe.report.build import _unlike
from slowprobe.report.headline import advice, notes, verdict
from slowprobe.report.loaders import loader_rows
from slowprobe.run.schema import End
from slowprobe.timeline.neighbours import Neighbours


def record(tmp_path, steps=40, cpu=1.0) -> Evidence:
    run = SyntheticRun(tmp_path, "for x in data:\n    net(x).backward()\n")
    for _ in range(steps):
        with run.inside("backward", 0):
            run.spend(12.0, 2, cpu_ms=12.0 * cpu)
        run.optimizer(1.0)
    return run.evidence()


def test_loaders_made_anew_for_each_evaluation_are_one_row(tmp_path):
    run = SyntheticRun(tmp_path, "train\ntest\n")
    loader = run.loader(1)
    with run.epoch(loader):
        for step in range(30):
            run.batch(loader, 1.0)
            run.train()
            if step % 10 == 0:
                run.evaluate(run.loader(2), 3)
    rows = loader_rows(run.evidence().loaders, {})
    assert [(row.role, row.batches, row.epochs) for row in rows] == [("training", 30, 1), ("evaluation", 9, 3)]
    assert rows[1].fetch_s == 0.009


def test_nothing_found_is_no_verdict_where_little_was_looked_at(tmp_path):
    short = record(tmp_path, steps=1)
    said = verdict(short, examine(short)).headline
    assert "checks could not be made" in said and "after 1 optimizer step." in said


def test_a_step_with_a_closure_says_how_often_it_ran(tmp_path):
    run = SyntheticRun(tmp_path, "optimizer.step(closure)\n")
    for _ in range(13):
        run.forward(5.0, 1)
        run.backward(5.0, 1)
    run.optimizer(1.0, 1, "LBFGS")
    evidence = run.evidence()
    assert "after 1 optimizer step of 13 backward passes." in verdict(evidence, examine(evidence)).headline


def test_a_busy_machine_is_noted(tmp_path):
    assert any("off the CPU for 60%" in note for note in notes(record(tmp_path / "busy", cpu=0.4)))
    assert not any("busy" in note for note in notes(record(tmp_path / "quiet", cpu=0.9)))


def test_cores_that_the_runs_own_workers_took_are_no_busy_machine(tmp_path):
    evidence = record(tmp_path, cpu=0.4)
    vars(evidence)["neighbours"] = Neighbours(busy=1.0, others=0.02)
    assert not any("busy" in note for note in notes(evidence))


def test_a_window_unlike_the_run_says_so(tmp_path):
    steps = record(tmp_path).steps
    assert "39 ms each, a usual one 13 ms" in _unlike(39.0, steps)
    assert _unlike(18.0, steps) == ""


def test_the_headline_counts_only_what_it_names(tmp_path):
    """Small findings add to the joint prediction, but not to the sentence about the one serious finding."""
    source = "class Net:\n    def forward(self, x):\n        for t in x:\n            h = torch.tanh(h)\n"
    run = SyntheticRun(tmp_path, source)
    for step in range(50):
        run.forward(20.0, 4, "Net.forward")
        run.backward(10.0)
        run.optimizer(1.0)
        if step % 10 == 0:
            run.collect(12.0)
    evidence = with_ops(run.evidence(), [line_ops(4, 100, forward_ms=18.0, left_ms=1.0)], 31.0)
    examined = examine(evidence)
    assert {finding.severity for finding in examined.findings} == {"high", "low"}
    top = examined.findings[0].saving.speedup.expected
    assert f"{top:.1f}×" in verdict(evidence, examined).headline


def test_a_script_that_fails_early_is_said_to(tmp_path):
    run = SyntheticRun(tmp_path, "import torch\n")
    run.spend(50.0)
    records = run.records()
    index, end = next((i, record) for i, record in enumerate(records.records) if isinstance(record, End))
    records.records[index] = msgspec.structs.replace(end, exception="SyntaxError")
    evidence = Evidence(records)
    said = verdict(evidence, examine(evidence)).headline
    assert said == "The script stopped with SyntaxError before any training step."
    assert len(advice(evidence)) == 1

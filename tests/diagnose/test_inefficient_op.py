from __future__ import annotations

import pytest
from synthetic import SCRIPT, SyntheticRun

from diagnose.annotated import AnnotatedStep
from diagnose.asking import ask
from slowprobe.run.schema import Subject
from slowprobe.timeline.op_tables import dense_tables

RULE = "inefficient-op"
STEPS, WIDTH = 40, 64
SOURCE = """\
table = nn.Embedding(100_000, 64)
for ids in data:
    loss = net(table(ids))
    loss.backward()
    optimizer.step()
"""
ROWS = 100_000


def record(tmp_path, *, rows=ROWS, asked=(100, 10), source=SOURCE, tied=False, backward_us=9000.0, **settings):
    run = SyntheticRun(tmp_path, source)
    run.settings(**settings)
    for _ in range(STEPS):
        run.forward(2.0, 3)
        run.backward(10.0, 4)
        run.optimizer(4.0, 5)
    evidence = run.evidence()
    number, subject = next((n, s) for n, s in evidence.recording.subjects.items() if s.kind == "optimizer")
    attrs = {"class": "SGD", "elements": 2 * rows * WIDTH}
    evidence.recording.subjects[number] = Subject(
        id=number, kind="optimizer", name="SGD", site=subject.site, attrs=attrs
    )
    step = AnnotatedStep()
    step.op("aten::embedding", 100.0, [[rows, WIDTH], list(asked)], line=3, sequence=1)
    if tied:
        step.op("aten::linear", 100.0, [[100, WIDTH], [rows, WIDTH]], line=3, sequence=2)
    step.op("aten::mean", 10.0, [[*asked, WIDTH]], line=3, sequence=3)
    step.op("MeanBackward", 10000.0 - backward_us, [[10]], sequence=3, backward=True)
    step.op(
        "aten::embedding_dense_backward",
        backward_us,
        [[*asked, WIDTH], list(asked)],
        sequence=1,
        backward=True,
        inside=("aten::zero_", [[rows, WIDTH]]),
    )
    step.stretch("Optimizer.step#SGD.step", 4100.0)
    step.op("aten::add_", 3000.0, [[rows, WIDTH], [rows, WIDTH]], line=5)
    step.op("aten::add_", 1000.0, [[500, 500], [500, 500]])
    tree = step.tree(tmp_path)
    vars(evidence)["dense_tables"] = dense_tables(tree, tree, lambda file: file == SCRIPT)
    return evidence


def test_a_table_of_which_few_rows_are_asked_for(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [1, 3]
    mine_ms = 10.0 * 0.9 + 4.0 * 0.75
    assert verdict.saved_s == pytest.approx(mine_ms * STEPS / 1000 * 0.97, rel=0.01)
    assert verdict.diagnosis.fix.diff.endswith("nn.Embedding(100_000, 64, sparse=True)")


def test_sums_of_gradients_and_the_times_of_clean_steps_count(tmp_path):
    """A table that is used twice; memory is mapped anew in clean steps only, and fills take ten times as long."""

    def step(dense_us):
        made = AnnotatedStep()
        for sequence in (1, 2):
            made.op("aten::embedding", 100.0, [[ROWS, WIDTH], [100, 10]], line=3, sequence=sequence)
        made.op("aten::mean", 10.0, [[100, 10, WIDTH]], line=3, sequence=3)
        made.op("MeanBackward", 1000.0, [[10]], sequence=3, backward=True)
        for sequence in (1, 2):
            made.op(
                "aten::embedding_dense_backward",
                dense_us,
                [[100, 10, WIDTH], [100, 10]],
                sequence=sequence,
                backward=True,
                inside=("aten::zero_", [[ROWS, WIDTH]]),
            )
        made.op("aten::add_", 500.0, [[ROWS, WIDTH], [ROWS, WIDTH]], sequence=1, backward=True)
        return made

    annotated, clean = step(200.0).tree(tmp_path / "annotated"), step(2000.0).tree(tmp_path / "clean")
    (table,) = dense_tables(annotated, clean, lambda file: file == SCRIPT)
    assert table.backward == pytest.approx(4500 / 5500, rel=0.02)


def test_sparse_gradients_are_not_its_business(tmp_path):
    """Fixed: backward makes no dense gradient."""
    step = AnnotatedStep()
    step.op("aten::embedding", 100.0, [[ROWS, WIDTH], [100, 10]], line=3, sequence=1)
    step.op("aten::embedding_sparse_backward", 100.0, [[100, 10, WIDTH], [100, 10]], sequence=1, backward=True)
    evidence = record(tmp_path)
    tree = step.tree(tmp_path)
    vars(evidence)["dense_tables"] = dense_tables(tree, tree, lambda file: file == SCRIPT)
    assert ask(RULE, evidence).status == "not-applicable"


def test_a_table_that_is_asked_for_most_of_its_rows_passes(tmp_path):
    """Near miss."""
    assert ask(RULE, record(tmp_path, rows=2000, asked=(100, 10))).status == "passed"


def test_a_table_that_is_an_output_layer_too_passes(tmp_path):
    assert ask(RULE, record(tmp_path, tied=True)).status == "passed"


def test_gradients_that_are_clipped_by_norm_have_to_be_dense(tmp_path):
    clipped = SOURCE.replace("    optimizer.step", "    clip_grad_norm_(net.parameters(), 1.0)\n    optimizer.step")
    assert "clipped" in ask(RULE, record(tmp_path, source=clipped)).outcome.reason


def test_a_cheap_table_passes(tmp_path):
    evidence = record(tmp_path, backward_us=100.0)
    vars(evidence)["dense_tables"] = [
        type(table)(table.rows, table.width, table.asked, table.source, 0.01, 0.01, False)
        for table in evidence.dense_tables
    ]
    assert ask(RULE, evidence).status == "passed"


def test_on_an_accelerator_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, devices=["some GPU"])).status == "not-checked"

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.annotated import AnnotatedStep
from diagnose.asking import ask
from slowprobe.run.loader_records import Padding

RULE = "padding-waste"
STEPS, ROWS, WIDTH = 40, 4, 100
SOURCE = """\
loader = DataLoader(texts, collate_fn=pad)
for ids in loader:
    net(ids).backward()
"""


def annotated(folder, ops):
    """A step of operators as (name, µs, shapes)."""
    step = AnnotatedStep()
    for op in ops:
        step.op(*op)
    return step.tree(folder)


MODEL = [("aten::mm", 8000.0, [[ROWS * WIDTH, 64], [64, 64]]), ("aten::mm", 2000.0, [[64, 64], [64, 64]])]


def record(tmp_path, lengths, *, source=SOURCE, ops=MODEL, batches=8):
    run = SyntheticRun(tmp_path, source)
    loader = run.loader(1)
    with run.epoch(loader):
        for _ in range(STEPS):
            run.batch(loader, 1.0)
            run.train(10.0, 20.0, 1.0)
    if lengths is not None:
        run._journal.write(
            Padding(loader=loader.subject, rows=[ROWS] * batches, width=[WIDTH] * batches, lengths=[lengths] * batches)
        )
    evidence = run.evidence()
    vars(evidence)["annotated_ops"] = annotated(tmp_path, ops)
    return evidence


def test_a_fixed_length_is_replaced_by_that_of_the_longest_row(tmp_path):
    verdict = ask(RULE, record(tmp_path, [40, 38, 36, 40]))
    assert verdict.lines == [1]
    work = 0.8 * (8000 - 2) / 8000  # the model's work on the batch, less the fixed cost of an operator
    assert verdict.saved_s == pytest.approx(30.0 * STEPS / 1000 * work * 0.6, rel=0.01)
    assert "longest row of the batch" in verdict.diagnosis.fix.text
    assert verdict.diagnosis.evidence["padding"] == pytest.approx(0.615)


def test_lengths_that_differ_within_a_batch_call_for_grouping(tmp_path):
    verdict = ask(RULE, record(tmp_path, [100, 10, 10, 20]))
    assert "like length" in verdict.diagnosis.fix.text
    assert verdict.diagnosis.evidence["columns left, rows of like length together"] == pytest.approx(0.35)


def test_little_padding_passes(tmp_path):
    """Fixed: rows of like length together."""
    assert ask(RULE, record(tmp_path, [100, 98, 96, 99])).status == "passed"


@pytest.mark.parametrize(
    ("source", "ops"),
    [
        (SOURCE + "packed = pack_padded_sequence(x, lengths)\n", MODEL),
        (SOURCE, [*MODEL, ("aten::_pack_padded_sequence", 10.0, [[ROWS, WIDTH, 8], [ROWS]])]),
    ],
)
def test_packed_sequences_pass(tmp_path, source, ops):
    """Near miss: the batch is padded, the work is not."""
    verdict = ask(RULE, record(tmp_path, [40, 38, 36, 40], source=source, ops=ops))
    assert verdict.status == "passed"
    assert "packed" in verdict.outcome.reason


def test_work_that_does_not_depend_on_the_columns_saves_nothing(tmp_path):
    verdict = ask(RULE, record(tmp_path, [40, 38, 36, 40], ops=MODEL[1:]))
    assert verdict.saved_s == 0.0


def test_the_columns_of_the_recorded_step_count_where_batches_differ(tmp_path):
    lookup = ("aten::embedding", 100.0, [[1000, 64], [ROWS, 60]])
    ops = [lookup, ("aten::mm", 9900.0, [[ROWS * 60, 64], [64, 64]])]
    share = ask(RULE, record(tmp_path, [40, 38, 36, 40], ops=ops)).diagnosis.evidence
    assert share["operator time on tensors of that shape"] > 0.99


def test_other_batches_are_not_its_business(tmp_path):
    assert ask(RULE, record(tmp_path, None)).status == "not-applicable"
    (tmp_path / "few").mkdir()
    assert ask(RULE, record(tmp_path / "few", [40, 38, 36, 40], batches=2)).status == "not-applicable"


BY_HAND = """\
for words, tags in batches(sentences):
    scores = tagger(words)
    scores.sum().backward()
"""


def record_by_hand(tmp_path, lengths, batches=8):
    """Without a loader: what the model was given was looked at."""
    run = SyntheticRun(tmp_path, BY_HAND)
    for _ in range(STEPS):
        run.forward(10.0, 2)
        run.backward(20.0, 3)
        run.optimizer(1.0, 3)
    evidence = run.evidence()
    (model,) = evidence.forwards
    number = next(key[1] for key in evidence.recording.keys("forward"))
    assert model.where.line == 2
    rows = {"rows": [ROWS] * batches, "width": [WIDTH] * batches, "lengths": [lengths] * batches}
    evidence.run.records.append(Padding(loader=-number, **rows))
    vars(evidence)["annotated_ops"] = annotated(tmp_path, MODEL)
    return evidence


def test_without_a_loader_the_models_inputs_tell(tmp_path):
    verdict = ask(RULE, record_by_hand(tmp_path, [40, 38, 36, 40]))
    assert verdict.lines == [2]
    assert verdict.saved_s == pytest.approx(30.0 * STEPS / 1000 * 0.8 * (8000 - 2) / 8000 * 0.6, rel=0.05)
    assert "where the batch is made" in verdict.diagnosis.fix.text


def test_without_a_loader_full_rows_pass(tmp_path):
    assert ask(RULE, record_by_hand(tmp_path, [100, 98, 96, 99])).status == "passed"

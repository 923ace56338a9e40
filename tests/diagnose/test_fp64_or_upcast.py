from __future__ import annotations

import pytest
from synthetic import SCRIPT, SyntheticRun

from diagnose.annotated import AnnotatedStep
from diagnose.asking import ask
from slowprobe.run.schema import Subject
from slowprobe.timeline.op_doubles import double_work

RULE = "fp64-or-upcast"
STEPS = 40
SOURCE = """\
net = Net().double()
for x in data:
    scaled = net(x) * weights
    loss = scaled.square().mean()
    loss.backward()
    optimizer.step()
"""
BIG, SCALAR = [100, 100], []


def annotated(folder, ops):
    """A step of operators as (line, name, µs, types, shapes)."""
    step = AnnotatedStep()
    for line, name, us, types, dims in ops:
        step.op(name, us, dims, types=types, line=line)
    return step.tree(folder)


def record(tmp_path, ops, dtypes="torch.float32", source=SOURCE, **settings):
    run = SyntheticRun(tmp_path, source)
    run.settings(**{"default_dtype": "torch.float32", **settings})
    for _ in range(STEPS):
        run.forward(20.0, 3)
        run.backward(10.0, 5)
        run.optimizer(1.0, 6)
    evidence = run.evidence()
    number, subject = next((n, s) for n, s in evidence.recording.subjects.items() if s.kind == "optimizer")
    evidence.recording.subjects[number] = Subject(
        id=number, kind="optimizer", name="SGD", site=subject.site, attrs={"dtypes": dtypes}
    )
    tree = annotated(tmp_path, ops)
    vars(evidence)["double_work"] = double_work(tree, tree, lambda file: file == SCRIPT)
    return evidence


SINGLE = (3, "aten::mm", 5000.0, ["float", "float"], [BIG, BIG])
ENTERS = (3, "aten::mul", 1000.0, ["float", "double"], [BIG, BIG])
FOLLOWS = (4, "aten::pow", 4000.0, ["double", "Scalar"], [BIG, SCALAR])


def test_the_line_where_float64_comes_in_is_named_first(tmp_path):
    verdict = ask(RULE, record(tmp_path, [SINGLE, ENTERS, FOLLOWS]))
    assert verdict.lines == [3, 4]
    assert verdict.diagnosis.evidence["work on float64, of a step"] == pytest.approx(0.5, abs=0.01)
    assert verdict.saved_s == pytest.approx(31.0 * STEPS / 1000 * 0.5 * 0.5, rel=0.03)
    assert "weights" in verdict.diagnosis.fix.diff


def test_a_model_in_float64_names_where_it_is_made(tmp_path):
    ops = [(3, "aten::mm", 9000.0, ["double", "double"], [BIG, BIG])]
    verdict = ask(RULE, record(tmp_path, ops, "torch.float64"))
    assert verdict.lines[0] == 1
    assert "net.float()" in verdict.diagnosis.fix.text


def test_float32_passes(tmp_path):
    assert ask(RULE, record(tmp_path, [SINGLE, SINGLE])).status == "passed"


def test_numbers_of_python_are_no_float64_work(tmp_path):
    """Near miss: ``x * 2.0`` has a float64 input without dimensions, and computes in float32."""
    number = (3, "aten::mul", 4000.0, ["float", "double"], [BIG, SCALAR])
    assert ask(RULE, record(tmp_path, [SINGLE, number])).status == "passed"


def test_little_float64_work_passes(tmp_path):
    small = (4, "aten::add_", 50.0, ["double", "double"], [[10], [10]])
    assert ask(RULE, record(tmp_path, [SINGLE, small])).status == "passed"


def test_float64_by_default_is_a_choice_whose_price_is_offered(tmp_path):
    ops = [(3, "aten::mm", 9000.0, ["double", "double"], [BIG, BIG])]
    source = "torch.set_default_dtype(torch.float64)\n" + SOURCE.replace(".double()", "").partition("\n")[2]
    verdict = ask(RULE, record(tmp_path, ops, "torch.float64", source=source, default_dtype="torch.float64"))
    assert verdict.diagnosis.offer
    assert verdict.lines == [1]
    assert verdict.saved_s > 0
    assert "float32" in verdict.diagnosis.fix.diff


def test_a_default_set_where_no_source_was_kept_names_the_lines_that_do_the_work(tmp_path):
    verdict = ask(RULE, record(tmp_path, [SINGLE, FOLLOWS], default_dtype="torch.float64"))
    assert verdict.diagnosis.offer
    assert verdict.lines == [4]


def test_on_an_accelerator_or_without_a_window_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, [ENTERS], devices=["some GPU"])).status == "not-checked"
    run = SyntheticRun(tmp_path / "plain", SOURCE)
    run.train()
    assert ask(RULE, run.evidence()).status == "not-checked"

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import line_ops, with_ops

SOURCE = """\
class Net(nn.Module):
    def forward(self, x):
        x = x.transpose(1, 2).contiguous()
        return self.norm(x)
for x in data:
    net(x).backward()
    optimizer.step()
"""
RULE = "strided-copies"
STEPS = 50


def record(tmp_path, *lines, basis="line"):
    """Steps of 40 ms, 15 of them in the forward pass."""
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(15.0, 6)
        run.backward(20.0, 6)
        run.optimizer(5.0, 7)
    evidence = with_ops(run.evidence(), list(lines), 40.0)
    vars(evidence)["ops"] = replace(evidence.ops, lines_basis=basis)
    return evidence


def copies(count, ms, op="aten::contiguous"):
    return line_ops(3, count, op=op, forward_ms=ms, left_ms=ms)


def test_slow_names_the_line_and_saves_most_of_the_copies(tmp_path):
    verdict = ask(RULE, record(tmp_path, copies(4, 10.0)))
    assert verdict.lines == [3]
    assert verdict.saved_s == pytest.approx(10.0 * STEPS / 1000 * 0.75, rel=0.01)
    low, _, high = verdict.found[0][1].speedup
    assert low == pytest.approx(1.0) and high == pytest.approx(40 / 30, rel=0.01)
    assert "-x = x.transpose(1, 2).contiguous()" in verdict.diagnosis.fix.diff


PICKED = {"gather.now_ms": 8.0, "gather.edited_ms": 0.8, "gather.dim": 1.0}


def picking(tmp_path, ms, costs=PICKED, op="aten::index"):
    evidence = record(tmp_path, line_ops(3, 1, op=op, forward_ms=ms, left_ms=ms))
    vars(evidence)["costs"] = costs
    return evidence


def test_samples_picked_along_an_inner_dimension_are_tried_with_it_first(tmp_path):
    verdict = ask(RULE, picking(tmp_path, 12.0))
    assert verdict.lines == [3] and verdict.diagnosis.title == "Samples are picked along an inner dimension"
    assert "data.movedim(1, 0).contiguous()" in verdict.diagnosis.fix.diff
    assert verdict.saved_s == pytest.approx(12.0 * 0.9 * STEPS / 1000, rel=0.01)
    low, _, _ = verdict.found[0][1].speedup
    assert low == pytest.approx(40 / (40 - 12 * 0.45), rel=0.01)


@pytest.mark.parametrize(
    ("ms", "costs"),
    [(3.0, PICKED), (12.0, {}), (12.0, {"gather.now_ms": 1.0, "gather.edited_ms": 0.9})],
    ids=["short", "whole rows, so not tried", "no dearer than rows"],
)
def test_picking_that_gains_nothing_passes(tmp_path, ms, costs):
    assert ask(RULE, picking(tmp_path, ms, costs)).status == "passed"


def test_fixed_has_no_copies(tmp_path):
    assert ask(RULE, record(tmp_path, copies(4, 10.0, op="aten::native_layer_norm"))).status == "passed"


def test_contiguous_tensors_are_not_copied(tmp_path):
    """Near miss: a hundred calls that return at once."""
    verdict = ask(RULE, record(tmp_path, copies(1000, 6.0)))
    assert verdict.status == "passed" and "0.0%" in verdict.outcome.reason


def test_few_copies_pass(tmp_path):
    assert ask(RULE, record(tmp_path, copies(4, 3.0))).status == "passed"


def test_without_lines_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, basis="none")).status == "not-checked"

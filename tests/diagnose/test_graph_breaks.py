from __future__ import annotations

import pytest
from synthetic import SCRIPT

from diagnose.asking import ask
from diagnose.compiled import STEPS, compilation, record
from slowprobe.timeline.compiled_pieces import CompiledPieces

RULE = "graph-breaks"
ROWS = [compilation("0/0", 0.5)]


def test_a_function_that_was_given_up_is_named_with_the_line_at_fault(tmp_path):
    skipped = [("forward", SCRIPT, 2, "Unsupported Tensor.item() call with capture_scalar_outputs=False")]
    verdict = ask(RULE, record(tmp_path, [500.0], rows=ROWS, skipped=skipped))
    assert verdict.lines == [5]
    assert verdict.saved_s == 0.0
    assert verdict.diagnosis.risk is not None
    assert verdict.diagnosis.risk.severity == "medium"


def test_a_break_in_what_the_function_calls_comes_first(tmp_path):
    reason = "Data-dependent branching"
    breaks = [(reason, "forward", SCRIPT, 5, 1), ("print", "forward", SCRIPT, 4, 1)]
    skipped = [("forward", SCRIPT, 2, reason)]
    assert ask(RULE, record(tmp_path, [500.0], rows=ROWS, breaks=breaks, skipped=skipped)).lines == [5, 2]


def test_many_breaks_cost_their_guards(tmp_path):
    breaks = [("generic_jump TensorVariable()", "forward", SCRIPT, line, 1) for line in range(20)]
    verdict = ask(RULE, record(tmp_path, [], rows=ROWS, breaks=breaks))
    assert verdict.saved_s == pytest.approx(20 * 30e-6 * STEPS, rel=1e-3)
    assert verdict.diagnosis.basis == "stated range"
    assert verdict.diagnosis.risk is None


def test_near_miss_one_break_costs_nothing_to_speak_of(tmp_path):
    breaks = [("Call to torch._dynamo.graph_break()", "forward", SCRIPT, 4, 1)]
    assert ask(RULE, record(tmp_path, [500.0], rows=ROWS, breaks=breaks)).status == "passed"


def test_breaks_in_a_librarys_code_are_not_the_users(tmp_path):
    breaks = [("print", "step", f"/usr/lib/python3.11/x{n}.py", 4, 1) for n in range(50)]
    assert ask(RULE, record(tmp_path, [], rows=ROWS, breaks=breaks)).status == "passed"


def test_fixed_one_graph(tmp_path):
    assert ask(RULE, record(tmp_path, [500.0], rows=ROWS)).status == "passed"


def test_without_torch_compile_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, [], noted=False)).status == "not-applicable"


def test_pieces_are_weighed_where_a_window_shows_them(tmp_path):
    breaks = [("Data-dependent branching", "forward", SCRIPT, 5, 1)]
    evidence = record(tmp_path, [], rows=ROWS, breaks=breaks)
    vars(evidence)["compiled_pieces"] = CompiledPieces(count=10.0, forward_ms=3.0, backward_ms=2.0, step_ms=20.0)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [5]
    assert verdict.saved_s == pytest.approx(5.0 * 0.9 * STEPS / 1000, rel=0.01)
    assert verdict.diagnosis.basis == "replay"

from __future__ import annotations

import pytest

from diagnose.asking import ask
from diagnose.compiled import SOURCE, compilation, record

RULE = "recompiling"
FOUR = [compilation("0/0", 0.5), *(compilation(f"0/{n}", 0.5, f"phase == 'phase {n}'") for n in (1, 2, 3))]


def test_slow_names_the_function_and_saves_what_recompilations_took(tmp_path):
    verdict = ask(RULE, record(tmp_path, [500.0] * 4, rows=FOUR))
    assert verdict.lines == [2]
    assert verdict.saved_s == pytest.approx(1.5, rel=1e-3)
    assert "phase == 'phase 3'" in verdict.diagnosis.summary
    assert verdict.diagnosis.risk is None


def test_a_function_that_was_given_up_is_a_risk_even_where_little_was_spent(tmp_path):
    rows = [*FOUR[:3], compilation("0/3", 0.001, "phase == 'phase 3'", gave_up=True)]
    verdict = ask(RULE, record(tmp_path, [1.0] * 4, rows=rows))
    assert verdict.diagnosis.risk is not None
    assert "runs uncompiled" in verdict.diagnosis.risk.text


def test_the_line_that_reads_the_value_comes_before_the_function(tmp_path):
    """Torch names the value that changed; where the function reads it is the line to edit."""
    rows = [FOUR[0], *(compilation(f"0/{n}", 0.5, f"self.largest == {n}.0") for n in (1, 2, 3))]
    assert ask(RULE, record(tmp_path, [500.0] * 4, rows=rows)).lines == [5, 2]


def test_a_value_that_is_handed_to_the_function_leaves_its_own_line(tmp_path):
    rows = [FOUR[0], *(compilation(f"0/{n}", 0.5, f"inputs == {n}") for n in (1, 2, 3))]
    assert ask(RULE, record(tmp_path, [500.0] * 4, rows=rows)).lines == [2]


COUNTING = """\
class Book(nn.Module):
    def __init__(self):
        self.calls = 0
    def forward(self, inputs):
        self.calls += 1  # so far
        return inputs * min(1.0, self.calls / 100)
"""


@pytest.mark.parametrize(("also", "lines"), [("", [16, 2]), ("book.calls = 0\n", [2])])
def test_the_line_that_counts_a_modules_attribute_comes_first(tmp_path, also, lines):
    rows = [FOUR[0], *(compilation(f"0/{n}", 0.5, f"self._modules['book'].calls == {n}") for n in (1, 2, 3))]
    verdict = ask(RULE, record(tmp_path, [500.0] * 4, source=SOURCE + COUNTING + also, rows=rows))
    assert verdict.lines == lines, "where two lines assign it, which one does is not known"
    added = '+self.register_buffer("calls", torch.zeros(()), persistent=False)  # in __init__\n+self.calls.add_(1)'
    assert (added in verdict.diagnosis.fix.diff) is not also.startswith("book")


def test_changing_sizes_are_marked_dynamic(tmp_path):
    rows = [FOUR[0], *(compilation(f"0/{n}", 0.5, "tensor 'x' size mismatch at index 0") for n in (1, 2, 3))]
    assert "mark_dynamic" in ask(RULE, record(tmp_path, [500.0] * 4, rows=rows)).diagnosis.fix.diff


def test_fixed_compiled_once(tmp_path):
    assert ask(RULE, record(tmp_path, [500.0], rows=FOUR[:1])).status == "passed"


def test_near_miss_two_recompilations_make_sizes_dynamic(tmp_path):
    assert ask(RULE, record(tmp_path, [500.0] * 3, rows=FOUR[:3])).status == "passed"


def test_without_torch_compile_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, [], noted=False)).status == "not-applicable"


def test_a_killed_run_is_not_checked(tmp_path):
    evidence = record(tmp_path, [500.0])
    del vars(evidence)["compilations"]
    assert ask(RULE, evidence).status == "not-checked"

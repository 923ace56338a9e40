from __future__ import annotations

import pytest

from diagnose.asking import ask
from diagnose.compiled import compilation, record

RULE = "compile-time-dominates"


def test_slow_all_of_the_compile_time_may_be_saved(tmp_path):
    verdict = ask(RULE, record(tmp_path, [0.1, 4000.0], rows=[compilation("0/0", 4.0)]))
    assert verdict.saved_s == pytest.approx(4.0, rel=1e-3)
    assert verdict.diagnosis.basis == "stated range"
    assert verdict.lines == [10]


def test_fixed_nothing_is_compiled(tmp_path):
    assert ask(RULE, record(tmp_path, [], noted=False)).status == "not-applicable"


def test_near_miss_a_short_compilation_passes(tmp_path):
    assert ask(RULE, record(tmp_path, [0.1, 1500.0], rows=[compilation("0/0", 1.5)])).status == "passed"


def test_recompilations_have_a_rule_of_their_own(tmp_path):
    rows = [compilation("0/0", 1.0), *(compilation(f"0/{n}", 1.0, "flag == True") for n in (1, 2, 3))]
    assert ask(RULE, record(tmp_path, [1000.0] * 4, rows=rows)).status == "passed"

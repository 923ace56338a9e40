from __future__ import annotations

from diagnose.device import about, ahead

RULE = "pageable-h2d"


def copies(trace, kind="HtoD (Pageable -> Device)", us=1_000.0, size=12 << 20):
    with trace.line("train.py", 9, "train"), trace.op("aten::to"), trace.op("aten::copy_"):
        trace.copy(kind, us, size)
    ahead(trace, kernels=10)
    trace.sync()


def test_slow_names_the_line_and_saves_the_copies(tmp_path):
    verdict = about(RULE, tmp_path, copies)
    assert verdict.lines == [9]
    assert "pin_memory=True" in verdict.diagnosis.fix.diff
    _, outlook = verdict.found[0]
    assert 0.05 * outlook.before_s < outlook.saved_s < 0.35 * outlook.before_s


def test_fixed_is_pinned_and_passes(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: copies(trace, "HtoD (Pinned -> Device)"))
    assert verdict.status == "passed"


def test_a_small_copy_passes(tmp_path):
    """Near miss: pageable, and 20 µs of 4 ms."""
    assert about(RULE, tmp_path, lambda trace: copies(trace, us=20.0, size=4096)).status == "passed"


def test_pinned_copies_in_front_of_the_step_are_the_next_rule_s(tmp_path):
    verdict = about("h2d-not-overlapped", tmp_path, lambda trace: copies(trace, "HtoD (Pinned -> Device)"))
    assert verdict.lines == [9] and verdict.saved_s > 0

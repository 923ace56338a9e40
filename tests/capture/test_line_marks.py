from __future__ import annotations

import sys

import torch

from slowprobe.capture import line_marks
from slowprobe.capture.line_marks import LineMarks


class UserSites:
    """Takes this file for the user's."""

    def is_user(self, code):
        return code.co_filename == __file__


def names(work):
    marks = LineMarks(UserSites())
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        assert marks.start()
        work()
        marks.stop()
    assert sys.gettrace() is None
    return [event.name for event in profiler.events() if event.name.startswith(line_marks.MARK)]


def test_a_line_that_runs_very_often_leaves_marks_for_others(monkeypatch):
    monkeypatch.setattr(line_marks, "MAX_MARKS", 60)
    monkeypatch.setattr(line_marks, "MAX_OF_LINE", 20)

    def work():
        sorted(range(500), key=lambda value: -value)
        return list(range(3))  # the line that counts

    found = names(work)
    lambdas = [name for name in found if "lambda" in name]
    assert len(lambdas) == 20
    assert "lambda" not in found[-1] and found[-1] != line_marks.MARK + "#"


def test_where_marks_run_out_what_follows_belongs_to_no_line(monkeypatch):
    monkeypatch.setattr(line_marks, "MAX_MARKS", 10)

    def work():
        total = 0
        for value in range(50):
            total += value
        return total

    assert names(work)[-1] == line_marks.MARK + "#"

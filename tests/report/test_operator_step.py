"""One profiled step, operator by operator."""

from __future__ import annotations

from pathlib import Path

import pytest
from timeline.test_ops import event, written

from slowprobe.report.operator_step import operator_step
from slowprobe.timeline.op_tree import build_tree
from slowprobe.trace.reader import read_trace


def test_each_moment_belongs_to_the_innermost_operator(tmp_path: Path) -> None:
    path = written(
        tmp_path / "t.json",
        event("slowprobe.step", 0, 100, "user_annotation"),
        event("aten::mm", 10, 20),
        event("slowprobe.step", 1000, 900, "user_annotation"),
        event("enumerate(DataLoader)#x.__next__", 1000, 200, "user_annotation"),
        event("aten::linear", 1300, 300),
        event("aten::addmm", 1400, 150),
        event("autograd::engine::evaluate_function: MmBackward0", 1650, 200, tid=2),
        event("aten::mm", 1700, 100, tid=2),
        event("slowprobe.step", 3000, 5000, "user_annotation"),
        event("aten::mm", 3000, 20),
    )
    step = operator_step(build_tree(read_trace(path)))
    assert step is not None and step.label == "profiled step 2 of 3" and step.span_us == 900
    main, engine = step.lanes
    assert main.label == "Training thread" and engine.label == "Autograd thread"
    # between 1600 and 1900 the engine works most of the time
    assert main.totals_us == pytest.approx({"op_data": 200, "op_matmul": 300, "op_python": 100})
    linear = ["aten::linear", "aten::addmm", "aten::linear"]
    assert [step.names[at] if at >= 0 else "" for at in main.name] == ["", "", *linear]
    assert engine.totals_us == pytest.approx({"op_autograd": 100, "op_matmul": 100})


def test_a_recording_without_marks_is_one_step(tmp_path: Path) -> None:
    path = written(tmp_path / "t.json", event("aten::mm", 0, 50), event("aten::add", 60, 40))
    step = operator_step(build_tree(read_trace(path)))
    assert step is not None and step.label == "the whole recording"
    assert step.lanes[0].totals_us == pytest.approx({"op_matmul": 50, "op_elementwise": 40, "op_python": 10})

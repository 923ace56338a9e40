"""Which lines launch the operators: with line marks, and with the functions that with_stack knows."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

import pytest
import torch

from slowprobe.timeline.ops import OpWindow, SourceOps, read_window

HERE = __file__


@contextmanager
def line_marks() -> Iterator[None]:
    """The marks as capture emits them, in the smallest form."""
    fast = torch._C._profiler._RecordFunctionFast

    def mark(frame: FrameType) -> None:
        code = frame.f_code
        with fast(f"slowprobe.line#{frame.f_lineno}#{quote(code.co_name)}#{quote(code.co_filename)}"):
            pass

    def local(frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            mark(frame)
        elif event == "return":
            back = frame.f_back
            while back is not None and back.f_code.co_filename != HERE:
                back = back.f_back
            if back is not None:
                mark(back)
        return local

    def enter(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != HERE:
            return None
        mark(frame)
        return local

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)


def windows(folder: Path, step: Callable[[], object], marks: bool, **options: bool) -> tuple[Path, Path]:
    one_step = torch._C._profiler._RecordFunctionFast("slowprobe.step")
    activities = [torch.profiler.ProfilerActivity.CPU]
    step()
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(3):
            with one_step:
                step()
    profiler.export_chrome_trace(str(folder / "clean.json"))
    with torch.profiler.profile(activities=activities, record_shapes=True, **options) as profiler, one_step:
        if marks:
            with line_marks():
                step()
        else:
            step()
    profiler.export_chrome_trace(str(folder / "annotated.json"))
    return folder / "clean.json", folder / "annotated.json"


W = torch.randn(16, 16, requires_grad=True)


def cell(x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x @ W + h)  # cell line


def recurrent_step() -> None:
    x = torch.randn(60, 8, 16)
    h = torch.zeros(8, 16)
    for t in range(60):
        h = cell(x[t], h)  # loop line
    h.sum().backward()  # backward line
    W.grad = None


def line_of(text: str) -> int:
    source = inspect.getsource(sys.modules[__name__]).splitlines()
    return next(number for number, line in enumerate(source, 1) if line.endswith(text))


def at(window: OpWindow, line: int) -> SourceOps:
    return next(s for s in window.lines if s.line == line)


def test_operators_belong_to_the_line_that_runs_when_they_start(tmp_path):
    clean, annotated = windows(tmp_path, recurrent_step, marks=True)
    window = read_window(clean, annotated)
    assert window.lines_basis == "line"
    inner = at(window, line_of("# cell line"))
    assert (inner.file, inner.function) == (HERE, "cell")
    assert {op.name: op.count for op in inner.ops} == {"aten::matmul": 60, "aten::add": 60, "aten::tanh": 60}
    assert inner.launches == 180 and inner.median_numel == 128
    assert {op.name: op.median_numel for op in inner.ops}["aten::matmul"] == 256, "the weight is the larger input"
    assert inner.backward_launches == 180, "each operator's node is joined to its line"
    assert inner.backward_ms > 0
    loop = at(window, line_of("# loop line"))
    assert {op.name: op.count for op in loop.ops} == {"aten::select": 60}, (
        "back from the call, the caller's line counts"
    )
    last = at(window, line_of("# backward line"))
    assert {op.name for op in last.ops} >= {"aten::sum", "aten::ones_like"}
    assert any("AccumulateGrad" in op.name for op in last.ops), "leaves belong to the call of backward"
    assert window.lines[0] is inner, "the most to save comes first"
    assert inner.batched_ms < inner.total_ms


def test_line_times_are_the_clean_windows_and_add_up_to_its_step(tmp_path):
    clean, annotated = windows(tmp_path, recurrent_step, marks=True)
    window = read_window(clean, annotated)
    per_step = sum(line.forward_ms + line.backward_ms for line in window.lines)
    in_operators = (window.shares.work + window.shares.dispatch) * sum(window.steps_ms) / window.steps
    assert per_step == pytest.approx(in_operators, rel=0.02)
    assert sum(line.launches + line.backward_launches for line in window.lines) == window.launches_per_step


def test_with_stacks_alone_the_function_is_known(tmp_path):
    clean, annotated = windows(tmp_path, recurrent_step, marks=False, with_stack=True)
    window = read_window(clean, annotated, lambda file: file.endswith("test_ops_lines.py"))
    assert window.lines_basis == "function"
    inner = next(s for s in window.lines if s.function == "cell")
    assert inner.line == line_of("def cell(x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:")
    assert inner.launches == 180 and inner.backward_launches == 180


def test_marks_and_stacks_together_change_no_count(tmp_path):
    clean, annotated = windows(tmp_path, recurrent_step, marks=True, with_stack=True)
    window = read_window(clean, annotated)
    assert window.lines_basis == "line" and at(window, line_of("# cell line")).launches == 180


def test_an_unreadable_annotated_step_leaves_the_clean_window(tmp_path):
    clean, _ = windows(tmp_path, recurrent_step, marks=False)
    (tmp_path / "broken.json").write_text("no")
    window = read_window(clean, tmp_path / "broken.json")
    assert window.lines == () and window.lines_basis == "none" and window.launches_per_step > 300
    assert any("no source lines" in warning for warning in window.warnings)


def test_other_operators_than_in_the_clean_window_are_scaled_by_name(tmp_path):
    def event(name: str, ts: float, dur: float) -> dict[str, object]:
        return {"ph": "X", "cat": "cpu_op", "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur}

    def trace(name: str, *events: dict[str, object]) -> Path:
        (tmp_path / name).write_text(json.dumps({"traceEvents": [event("slowprobe.step", 0, 1000), *events]}))
        return tmp_path / name

    clean = trace("clean.json", event("aten::mm", 10, 100), event("aten::mm", 120, 300))
    mark = event("slowprobe.line#7#f%3Cx%3E#/a%20b/t.py", 1, 0)
    annotated = trace(
        "annotated.json", mark, *(event("aten::mm", 10 + 410 * i, 400) for i in range(2)), event("aten::q", 900, 9)
    )
    window = read_window(clean, annotated)
    (line,) = window.lines
    assert (line.file, line.line, line.function) == ("/a b/t.py", 7, "f<x>")
    assert line.forward_ms == pytest.approx(0.2 + 0.2 + 0.009)
    assert any("not in the clean window" in warning for warning in window.warnings)

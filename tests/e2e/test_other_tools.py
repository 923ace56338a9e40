"""What the benchmark reads out of other tools' answers, and where it says a loop's steps are."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("other_tools")


def test_a_primary_diagnosis_of_traceml(tools: ModuleType) -> None:
    answer = tools.traceml_answer({"kind": "INPUT_BOUND", "summary": "Input wait is 85% of the typical CPU Step Time."})
    assert tools.right_class(answer, "input") and not tools.right_class(answer, "host")
    primary = {"kind": "COMPUTE_BOUND", "summary": "Compute takes 90%, Optimizer is the largest phase."}
    assert tools.traceml_answer(primary)["classes"] == ["optimizer"]
    missing = {"kind": "INSUFFICIENT_STEP_TIME_DATA", "summary": "Step timing is missing phase signals."}
    assert tools.traceml_answer(missing)["classes"] == []


def test_the_plugin_recommends_or_its_largest_part_speaks(tools: ModuleType) -> None:
    parts = {"DataLoader": 12.0, "CPU Exec": 80.0, "Other": 8.0}
    text = "This run has high time cost on input data loading. 12.0% of the step time is in DataLoader."
    assert tools.plugin_answer({"recommendations": [text], "parts": parts})["classes"] == ["input"]
    silent = tools.plugin_answer({"recommendations": [], "parts": parts | {"DataLoader": 2.0, "Other": 18.0}})
    assert silent["says"] == "no recommendation; CPU Exec 80 %"
    assert tools.right_class(silent, "optimizer") and not tools.right_class(silent, "input")


def test_the_gravest_insight_of_gpuprof(tools: ModuleType) -> None:
    low = {"severity": "low", "title": "First step 900 ms vs steady-state 10 ms \u2014 warmup / JIT compile"}
    high = {"severity": "high", "title": "948% of step time waiting on the loader (inter-step gap)"}
    assert tools.gpuprof_answer({"insights": [low, high]})["classes"] == ["input"]
    assert "compile" in tools.gpuprof_answer({"insights": [low]})["classes"]
    nothing = {"severity": "low", "title": "No major bottlenecks detected"}
    assert tools.gpuprof_answer({"insights": [nothing]}) == {"says": "no insight", "classes": []}


def test_a_tool_that_is_not_there_is_said_to_be_missing(tools: ModuleType, tmp_path: Path) -> None:
    for tool in tools.TOOLS.values():
        answer = tool(str(tmp_path / "python"), BENCHMARKS / "planted" / "gc_pause" / "slow.py", 5.0)
        assert answer["failure"].startswith("no ")


class Told:
    """A tool that notes what it is told."""

    def __init__(self, module: ModuleType) -> None:
        self.said: list[str] = []
        self.steps = module.LoopSteps(
            lambda fed: self.said.append("fed" if fed else "begin"), lambda: self.said.append("end")
        )

    def batch(self) -> None:
        """As the hook in a loader does."""
        self.steps.close()
        self.steps._fed = True
        self.steps.open()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return Told(importlib.import_module("loop_steps"))


def test_steps_lie_around_the_body_of_a_loop_over_batches(told: Told) -> None:
    optimizer = object()
    for _ in range(2):
        told.batch()
        told.batch()  # gradients are accumulated over two
        told.steps.optimized(optimizer)
    told.steps.close()
    assert told.said == ["fed", "end", "fed", "end"]


def test_without_batches_the_first_optimizer_ends_steps(told: Told) -> None:
    critic, generator = object(), object()
    for _ in range(3):
        told.steps.optimized(critic)
        told.steps.optimized(generator)
    assert told.said == ["begin", "end", "begin", "end", "begin"]

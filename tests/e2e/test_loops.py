"""Real loops through the real command line: exact counts and roles, the wall identity, nothing changed."""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .harness import SCRIPTS, Pair, assert_wall_identity, pair, run


@dataclass(frozen=True)
class Case:
    """A script, its arguments, and what the report must say.

    loaders: (role, batches, epochs, num_workers) of each, in any order.
    """

    script: str
    unit: str
    steps: int
    loaders: tuple[tuple[str, int, int, int], ...] = ()
    arguments: tuple[str, ...] = ()
    slow: bool = False

    @property
    def name(self) -> str:
        return " ".join([self.script, *self.arguments])


CASES = [
    Case("plain", "batch", 120, (("training", 120, 3, 0), ("evaluation", 15, 3, 0))),
    Case("plain", "batch", 80, (("training", 80, 2, 2), ("evaluation", 10, 2, 2)), ("--workers=2", "--epochs=2")),
    Case("module_level", "batch", 24, (("training", 24, 2, 0),)),
    Case("no_optimizer", "batch", 30, (("training", 30, 3, 0),)),
    Case("gan", "batch", 40, (("training", 40, 2, 0),)),
    Case("accumulation", "optimizer step", 20, (("training", 80, 2, 0),)),
    Case("lbfgs", "optimizer step", 12),
    Case("get_batch", "optimizer step", 60, slow=True),
    Case("no_optimizer", "backward pass", 25, arguments=("--bare",), slow=True),
    Case("accumulation", "optimizer step", 20, (("training", 80, 2, 0),), ("--scale",), slow=True),
    Case("rl", "optimizer step", 15, slow=True),
    Case("iterable", "batch", 36, (("training", 36, 2, 0),), slow=True),
    Case("iterable", "batch", 36, (("training", 36, 2, 2),), ("2",), slow=True),
    Case("autocast", "batch", 20, (("training", 20, 2, 0),), slow=True),
    Case("compiled", "batch", 33, (("training", 33, 3, 0),), slow=True),
    Case("compiled", "batch", 33, (("training", 33, 3, 0),), ("aot_eager",), slow=True),
    Case("compiled_step", "backward pass", 20, slow=True),
    Case("zipped", "batch", 32, (("training", 32, 4, 0), ("training", 32, 4, 0), ("evaluation", 24, 6, 0)), slow=True),
]


@functools.cache
def run_once(case: Case, folder: Path) -> Pair:
    return pair([str(SCRIPTS / f"{case.script}.py"), *case.arguments], folder / case.name.replace(" ", ""))


@pytest.fixture(
    scope="module",
    params=[pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else []) for case in CASES],
)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def loop(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return run_once(case, tmp_path_factory.getbasetemp())


def test_computes_the_same(loop: Pair) -> None:
    assert loop.alone.returncode == 0, loop.alone.stderr.decode()
    loop.assert_same_result()
    assert b"rng " in loop.alone.stdout


def test_counts_steps_exactly(case: Case, loop: Pair) -> None:
    steps = loop.report["steps"]
    assert (steps["unit"], steps["count"]) == (case.unit, case.steps)


def test_knows_the_loaders(case: Case, loop: Pair) -> None:
    found = [
        (entry["role"], entry["batches"], entry["epochs"], entry["num_workers"]) for entry in loop.report["loaders"]
    ]
    assert sorted(found) == sorted(case.loaders)


def test_says_where_each_loader_is_made(case: Case, loop: Pair) -> None:
    for entry in loop.report["loaders"]:
        file, _, line = entry["where"].rpartition(":")
        assert Path(file).resolve() == SCRIPTS / f"{case.script}.py"
        assert "DataLoader(" in Path(file).read_text().splitlines()[int(line) - 1]


def test_holds_the_wall_identity(loop: Pair) -> None:
    assert_wall_identity(loop.report)


def test_series_add_up(loop: Pair) -> None:
    series = loop.report.get("series")
    if series is not None:
        for index, wall in enumerate(series["wall_ms"]):
            assert sum(part[index] for part in series["parts"].values()) == pytest.approx(wall, abs=0.01)


def test_breaks_no_probe_and_no_rule(loop: Pair) -> None:
    assert loop.notes() == []
    assert [rule for rule, outcome in loop.report["outcomes"].items() if "error" in json.dumps(outcome)] == []


def test_says_goodbye_on_stderr_only(loop: Pair) -> None:
    assert f"Report: {loop.folder / 'report.html'}" in loop.summary
    assert (loop.folder / "report.html").stat().st_size > 10_000


def test_report_of_a_script_that_trains_nothing(tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / "nothing.py")], tmp_path)
    both.assert_same_result()
    assert both.alone.returncode == 7
    report = both.report
    assert report["steps"] is None and report["run"]["exit_code"] == 7
    assert report["verdict"]["bottleneck"] == "none"
    assert report["findings"] == []
    assert_wall_identity(report)
    assert "No training step was seen" in both.summary
    assert report["advice"]


def test_report_of_a_script_without_torch(tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / "no_torch.py")], tmp_path, input=b"one\ntwo\n")
    both.assert_same_result()
    assert both.alone.stdout.startswith(b"False ")  # slowprobe does not import torch for the script
    assert both.report["steps"] is None
    assert_wall_identity(both.report)


@pytest.mark.slow
@pytest.mark.parametrize(("script", "steps"), [("plain", 7), ("get_batch", 6), ("accumulation", 5)])
def test_records_as_many_steps_as_asked_for(script: str, steps: int, tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / f"{script}.py")], tmp_path, ("--steps", str(steps)))
    both.assert_same_result()
    assert both.report["steps"]["count"] == steps
    assert_wall_identity(both.report)


@pytest.mark.slow
def test_decorated_function_called_twice(tmp_path: Path) -> None:
    done = run([sys.executable, str(SCRIPTS / "decorated.py"), str(tmp_path / "out")])
    assert done.returncode == 0, done.stderr.decode()
    assert b"trained 11 7" in done.stdout and b"folder True" in done.stdout
    folders = [tmp_path / "out", tmp_path / "out-2", tmp_path / "out-block"]
    reports = [json.loads((folder / "report.json").read_text()) for folder in folders]
    assert [report["steps"]["count"] for report in reports] == [11, 7, 5]
    for report in reports:
        assert_wall_identity(report)
        assert [_shape(entry) for entry in report["loaders"]] == [("training", report["steps"]["count"], 1)]
    assert not (tmp_path / "out-3").exists()  # inside a block, the decorator adds nothing


def _shape(loader: dict[str, Any]) -> tuple[str, int, int]:
    return loader["role"], loader["batches"], loader["epochs"]

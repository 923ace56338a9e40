"""Training loops that other libraries own, profiled without a change to them: counts, roles, lines and results."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import assert_wall_identity, pair

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Case:
    """A script, what it needs, and what the report must say. loaders: (role, batches, passes), in any order."""

    script: str
    package: str
    unit: str
    steps: int
    loaders: tuple[tuple[str, int, int], ...] = ()
    arguments: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ("forward", "backward", "optimizer", "python")

    @property
    def name(self) -> str:
        return "-".join([self.script, *self.arguments])


CASES = [
    Case("lightning_fit", "lightning", "batch", 60, (("training", 60, 2), ("evaluation", 8, 2))),
    Case("lightning_fit", "lightning", "optimizer step", 30, (("training", 60, 2), ("evaluation", 8, 2)), ("2",)),
    Case("hf_trainer", "transformers", "batch", 60, (("training", 60, 2), ("evaluation", 8, 2)), ("bert",)),
    Case("hf_trainer", "transformers", "batch", 60, (("training", 60, 2), ("evaluation", 8, 2)), ("gpt2",)),
    Case(
        "hf_trainer", "transformers", "optimizer step", 20, (("training", 60, 2), ("evaluation", 8, 2)), ("bert", "3")
    ),
    Case("accelerate_loop", "accelerate", "optimizer step", 40, (("training", 80, 2), ("evaluation", 8, 2))),
    Case("ignite_engine", "ignite", "batch", 60, (("training", 60, 2), ("evaluation", 8, 2))),
    Case("skorch_fit", "skorch", "batch", 60, (("training", 60, 2), ("evaluation", 16, 2))),
    # Keras builds the model with a batch of a loader of its own, and starts an iterator after each pass, too.
    Case(
        "keras_fit",
        "keras",
        "batch",
        60,
        (("training", 60, 4), ("evaluation", 1, 1)),
        buckets=("forward", "backward", "python"),
    ),
    Case("sb3_ppo", "stable_baselines3", "optimizer step", 48),
    Case("stateful_loader", "torchdata", "batch", 20, (("training", 20, 2),), ("0",), ("fetch", "forward", "backward")),
    Case("stateful_loader", "torchdata", "batch", 20, (("training", 20, 2),), ("2",)),
    Case("geometric", "torch_geometric", "batch", 40, (("training", 40, 2),)),
]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_trainer(case: Case, tmp_path: Path) -> None:
    if importlib.util.find_spec(case.package) is None:  # not imported here: Keras wants to know its backend first
        pytest.skip(f"{case.package} is not installed")
    both = pair([str(SCRIPTS / f"{case.script}.py"), *case.arguments], tmp_path / "run", cwd=tmp_path)
    both.assert_same_result()
    assert both.recorded.returncode == 0, both.summary
    report = both.report
    assert both.notes("error") == []
    assert "error" not in {outcome["status"] for outcome in report["outcomes"].values()}
    assert_wall_identity(report)
    assert (report["steps"]["unit"], report["steps"]["count"]) == (case.unit, case.steps)
    if case.loaders:
        shapes = [(loader["role"], loader["batches"], loader["epochs"]) for loader in report["loaders"]]
        assert sorted(shapes) == sorted(case.loaders)
    assert {bucket["id"] for bucket in report["time"]["buckets"]} >= set(case.buckets)
    places = [place for finding in report["findings"] for place in finding["where"]]
    for place in [*places, *report["hotspots"]]:
        assert "site-packages" not in place["file"], place

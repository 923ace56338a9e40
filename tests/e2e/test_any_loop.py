"""Loaders, optimizers and instruments of every kind, through the real command line: same result, right counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from .harness import SCRIPTS, Pair, assert_wall_identity, pair

# way: (steps, batches, passes, num_workers)
LOADERS = {
    "batch_sampler": (40, 40, 2, 0),
    "batch_size_none": (40, 40, 2, 0),
    "in_order": (40, 40, 2, 2),
    "fork": (40, 40, 2, 1),
    "spawn": (40, 40, 2, 1),
    "forkserver": (40, 40, 2, 1),
    "subclass": (40, 40, 2, 0),
    "slow_sampler": (40, 40, 2, 0),
    "persistent": (40, 40, 2, 2),
    "abandoned": (13, 13, 2, 0),  # a batch that is asked for and not trained on is a step all the same
    "next_iter": (20, 20, 20, 0),
}
QUICK = {"batch_sampler", "abandoned", "next_iter", "forkserver"}


def _marked(ways: dict[str, object], quick: set[str]) -> list[object]:
    return [pytest.param(way, marks=[] if way in quick else [pytest.mark.slow]) for way in ways]


def _check(both: Pair) -> None:
    both.assert_same_result()
    assert_wall_identity(both.report)
    assert both.notes("error") == []
    assert "error" not in {outcome["status"] for outcome in both.report["outcomes"].values()}


@pytest.mark.parametrize("way", _marked(dict(LOADERS), QUICK))
def test_loader(way: str, tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / "loaders.py"), way], tmp_path)
    _check(both)
    steps, batches, passes, workers = LOADERS[way]
    report = both.report
    (loader,) = report["loaders"]
    assert (loader["role"], loader["batches"], loader["num_workers"]) == ("training", batches, workers)
    assert loader["epochs"] == passes
    assert report["steps"]["count"] == steps
    assert "loaders.py" in loader["where"]


@pytest.mark.slow
def test_batches_from_a_thread_of_the_scripts_own(tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / "loaders.py"), "thread"], tmp_path)
    _check(both)
    assert both.report["steps"]["count"] == 40
    assert both.report["steps"]["unit"] == "optimizer step"


OPTIMIZERS = {
    "plain": 30,
    "fused": 30,
    "foreach": 30,
    "several": 30,
    "lonely": 30,
    "sparse": 30,
    "ema": 30,
    "closure": 30,
    "scaler": 30,
    "anomaly": 30,
    "hooks": 30,
    "accumulating": 15,
}


@pytest.mark.parametrize("way", _marked(dict(OPTIMIZERS), {"several", "scaler", "accumulating"}))
def test_optimizer(way: str, tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / "optimizers.py"), way], tmp_path)
    _check(both)
    assert both.report["steps"]["count"] == OPTIMIZERS[way]
    assert both.report["loaders"][0]["batches"] == 30


@pytest.mark.parametrize(
    "way",
    _marked(
        dict.fromkeys(("profiler", "legacy", "slowprobe", "trace", "setprofile", "warnings", "tqdm")), {"profiler"}
    ),
)
def test_a_loop_that_is_watched_already(way: str, tmp_path: Path) -> None:
    if way == "tqdm":
        pytest.importorskip("tqdm")
    both = pair([str(SCRIPTS / "instrumented.py"), way], tmp_path / "out", cwd=tmp_path)
    _check(both)
    assert both.report["steps"]["count"] == 120

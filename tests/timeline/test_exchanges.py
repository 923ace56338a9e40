from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic import SyntheticRun

from slowprobe.timeline.exchanges import accumulation, exchange

MAIN, GLOO = 1, 2
SOURCE = "for x in data:\n    net(x).backward()\n    optimizer.step()\n"


def event(name: str, ts: float, dur: float, tid: int = MAIN, cat: str = "cpu_op") -> dict[str, object]:
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": tid, "ts": ts, "dur": dur, "args": {}}


def window(folder: Path, *, metric: bool = False, steps: int = 2) -> Path:
    """Steps of 10 ms: backward works until 6 ms; two collectives, of which 3 and 2 ms are beside nothing."""
    events = []
    for step in range(steps):
        at = step * 10_000.0
        events += [
            event("slowprobe.step", at, 10_000.0, cat="user_annotation"),
            event("aten::linear", at, 2_000.0),
            event("autograd::engine::evaluate_function: AddmmBackward0", at + 2_000, 1_900.0),
            event("autograd::engine::evaluate_function: torch::autograd::AccumulateGrad", at + 4_000, 1_000.0),
            event("torch::distributed::reducer::mul_out", at + 4_100, 300.0),
            event("c10d::allreduce_", at + 4_500, 100.0),
            event("c10d::allreduce_", at + 4_700, 100.0),
            event("gloo:all_reduce", at + 4_600, 3_400.0, GLOO, "user_annotation"),
            event("gloo:all_reduce", at + 4_800, 4_200.0, GLOO + 1, "user_annotation"),
            event("torch.distributed.ddp.reducer::copy_bucket_to_grad", at + 9_000, 200.0),
        ]
        if metric:  # an all_reduce of the script's own
            events += [
                event("c10d::allreduce_", at + 9_300, 50.0),
                event("gloo:all_reduce", at + 9_350, 500.0, GLOO, "user_annotation"),
            ]
    path = folder / "clean.json"
    path.write_text(json.dumps({"traceEvents": events}))
    return path


@pytest.mark.parametrize("metric", [False, True])
def test_collectives_of_gradients_that_nothing_hides(tmp_path: Path, metric: bool) -> None:
    found = exchange(window(tmp_path, metric=metric), 2)
    assert found is not None
    assert found.step_ms == pytest.approx(10.0)
    assert found.exposed_ms == pytest.approx(4.0)  # from 5 ms, when the engine is done, to 9
    assert found.hidden_ms == pytest.approx(0.4)
    assert found.copied_ms == pytest.approx(0.5)
    assert found.last_ms == pytest.approx(1.0)  # the other one ends at 8 ms
    assert found.last_share == found.last_surely == pytest.approx(4.2 / 7.6)
    assert found.surely == pytest.approx(1.0)


def test_a_window_without_collectives(tmp_path: Path) -> None:
    path = tmp_path / "clean.json"
    events = [event("slowprobe.step", 0, 100, cat="user_annotation"), event("aten::mm", 10, 20)]
    path.write_text(json.dumps({"traceEvents": events}))
    assert exchange(path, 1) is None


def test_passes_that_add_up(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(10):
        for _ in range(4):
            run.forward(4.0, 2)
            run.backward(8.0, 2)
        run.optimizer(1.0, 3)
    found = accumulation(run.evidence().recording)
    assert (found.backwards, found.added) == (40, 30)
    assert found.passes_an_update == pytest.approx(4.0)

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.kernels import product, work

SOURCE = """\
loader = DataLoader(rows, batch_size=32)
for x, y in loader:
    criterion(net(x), y).backward()
    optimizer.step()
"""
RULE = "batch-too-small"
STEPS = 50


@dataclass
class Shares:
    work: float
    dispatch: float
    launch_gap: float = 0.0
    engine: float = 0.0


def record(tmp_path, *layers, forward=10.0, backward=20.0, optimizer=30.0, fixed=0.4, backwards=1, **attrs):
    """Steps of 60 ms in which operators of forward and backward spend `fixed` of their time on starting."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1, **{"length": 50, **attrs})
    with run.epoch(loader):
        for step in range(STEPS):
            run.batch(loader, 0.1)
            run.forward(forward, 3)
            run.backward(backward, 3)
            if step % backwards == backwards - 1:
                run.optimizer(optimizer, 4)
    evidence = run.evidence()
    vars(evidence)["ops"] = SimpleNamespace(shares=Shares(1 - fixed, fixed))
    vars(evidence)["kernels"] = work(*layers, step_ms=30.0) if layers else None
    return evidence


def test_slow_saves_half_of_updates_and_fixed_costs_and_is_an_offer(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [1]
    assert verdict.saved_s == pytest.approx(STEPS / 1000 * (30 * 0.5 + 30 * 0.2), rel=0.01)
    assert verdict.diagnosis.offer
    assert verdict.diagnosis.fix.diff.endswith("batch_size=64)")
    assert "learning rate" in verdict.diagnosis.fix.text


def test_products_are_as_tried(tmp_path):
    verdict = ask(RULE, record(tmp_path, product(5.0, 10.0, twice=0.6)))
    # Half of the window is products, of which 0.6 is left; the rest loses half of its fixed costs.
    assert verdict.saved_s == pytest.approx(STEPS / 1000 * (30 * 0.5 + 15 * 0.4 + 15 * 0.2), rel=0.01)


def test_fixed_is_mostly_work(tmp_path):
    assert ask(RULE, record(tmp_path, optimizer=2.0, fixed=0.05)).status == "passed"


def test_a_small_batch_that_is_all_work_passes(tmp_path):
    """Near miss: few samples, and twice as many take twice as long."""
    verdict = ask(RULE, record(tmp_path, product(10.0, 20.0, twice=1.0), optimizer=1.0, fixed=0.3))
    assert verdict.status == "passed" and "twice as large" in verdict.outcome.reason


def test_accumulated_batches_train_the_same(tmp_path):
    verdict = ask(RULE, record(tmp_path, backwards=2, optimizer=120.0))
    assert "stays the same" in verdict.diagnosis.fix.text


def test_half_of_the_data_in_a_batch_is_not_small(tmp_path):
    assert ask(RULE, record(tmp_path, length=2)).status == "passed"


def test_not_applicable_without_a_batch_size_or_on_a_device(tmp_path):
    assert ask(RULE, record(tmp_path / "own", batch_size=None)).status == "not-applicable"
    evidence = record(tmp_path / "device")
    evidence.settings["devices"] = ["H100"]
    assert ask(RULE, evidence).status == "not-applicable"

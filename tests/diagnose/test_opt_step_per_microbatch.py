from __future__ import annotations

import pytest
from msgspec import structs
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.kernels import product, work

SOURCE = """\
loader = DataLoader(records, batch_size=4)
for x, y in loader:
    criterion(net(x), y).backward()
    optimizer.step()
"""
RULE = "opt-step-per-microbatch"
STEPS = 50


def record(tmp_path, optimizer_ms=8.0, layers=(), tried=None, **attrs):
    """Steps of 4 ms forward, 8 ms backward, and the optimizer's."""
    run = SyntheticRun(tmp_path, SOURCE)
    if tried is not None:
        run.tried = {f"optimizer.{n}.{form}_ms": ms for n in range(20) for form, ms in tried.items()}
    loader = run.loader(1, batch_size=4)
    with run.epoch(loader):
        for _ in range(STEPS):
            run.batch(loader, 0.1)
            run.forward(4.0, 3)
            run.backward(8.0, 3)
            run.optimizer(optimizer_ms, 4)
    evidence = run.evidence()
    number, subject = next((n, s) for n, s in evidence.recording.subjects.items() if s.kind == "optimizer")
    described = {**subject.attrs, "elements": 10_000_000, "class": "Adam", "fused": True, **attrs}
    evidence.recording.subjects[number] = structs.replace(subject, attrs=described)
    vars(evidence)["kernels"] = work(*layers, step_ms=12 + optimizer_ms) if layers else None
    return evidence


def test_slow_saves_every_second_step_and_is_an_offer(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.saved_s == pytest.approx(STEPS * 4.0 / 1000, rel=0.02)
    assert verdict.diagnosis.offer and verdict.diagnosis.basis == "stated range"
    assert verdict.lines == [1] and "batch_size=8" in verdict.diagnosis.fix.diff


def test_products_gain_what_twice_the_rows_were_measured_to(tmp_path):
    verdict = ask(RULE, record(tmp_path, layers=[product(4.0, 8.0, twice=0.6)]))
    assert verdict.saved_s == pytest.approx(STEPS * (4.0 + 12.0 * 0.4) / 1000, rel=0.02)
    assert verdict.diagnosis.basis == "calibrated replay"


def test_fixed_steps_take_little(tmp_path):
    assert ask(RULE, record(tmp_path, optimizer_ms=2.0)).status == "passed"


def test_near_miss_a_loop_over_parameters_that_fused_ends(tmp_path):
    verdict = ask(RULE, record(tmp_path, tried={"default": 8.0, "fused": 2.0}, fused=False))
    assert verdict.status == "passed" and "once fused" in verdict.outcome.reason


def test_optimizers_that_do_more_than_update_pass(tmp_path):
    assert ask(RULE, record(tmp_path, **{"class": "LBFGS"})).status == "passed"


def test_an_optimizer_of_the_users_is_taken_as_it_is_unless_it_runs_the_model(tmp_path):
    own = record(tmp_path, module="mylab.muon")
    assert ask(RULE, own).saved_s == pytest.approx(STEPS * 4.0 / 1000, rel=0.02)
    closure = record(tmp_path / "closure", module="mylab.sam")
    seconds = closure.partition.seconds
    seconds["step", "backward"] += seconds["step", "optimizer"] / 2
    seconds["step", "optimizer"] /= 2
    assert ask(RULE, closure).status == "passed"

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import op_stat, with_ops
from slowprobe.timeline.tracebacks import Tracebacks

SOURCE = """\
torch.autograd.set_detect_anomaly(True)
for x in data:
    net(x).backward()
    optimizer.step()
"""
RULE = "debug-mode-on"
STEPS = 50
NODES = (op_stat("autograd::engine::evaluate_function: MulBackward0", 100.0),)


CHECKED_BEFORE = """\
def check(net):
    with torch.autograd.detect_anomaly(check_nan=True):
        net(x).sum().backward()

def step(x):
    net(x).backward()
    optimizer.step()

def main():
    torch.autograd.set_detect_anomaly(False)
    {switch}
    for x in data:
        step(x)
"""
AROUND = CHECKED_BEFORE.replace("    {switch}\n    for", "    with torch.autograd.detect_anomaly():\n      for")


def record(tmp_path, costs=None, source=SOURCE, backward=3, **settings):
    run = SyntheticRun(tmp_path, source)
    run.settings(**settings)
    for _ in range(STEPS):
        run.forward(10.0, 3)
        run.backward(10.0, backward)
        run.optimizer(1.0, 4)
    return with_ops(run.evidence(), [], 21.0, ops=NODES, costs=costs or {})


def test_anomaly_detection_costs_what_its_nodes_were_measured_to(tmp_path):
    verdict = ask(RULE, record(tmp_path, anomaly=True, costs={"anomaly.node_us": 120.0}))
    assert verdict.lines == [1]
    assert verdict.saved_s == pytest.approx(120e-6 * 100 * STEPS, rel=0.02)
    assert verdict.diagnosis.basis == "calibrated replay"


def test_tracebacks_cost_by_the_stacks_they_are_made_on_and_checks_by_their_operators(tmp_path):
    trial = {"node_us": 35.0, "traceback_us": 30.0, "frames": 5, "files": 4, "frame_us": 3.0, "file_us": 5.0}
    run = record(tmp_path, anomaly=True, costs={f"anomaly.{key}": value for key, value in trial.items()})
    checks = (op_stat("aten::isnan", 40.0, self_ms=0.1), op_stat("aten::any", 80.0, self_ms=1.0))
    with_ops(run, [], 21.0, ops=(*NODES, *checks), costs=vars(run)["costs"])
    vars(run)["tracebacks"] = Tracebacks(frames=12.0, files=6.0, shares={"forward": 1.0})
    traceback_us = 30 + 7 * 3 + 2 * 5
    assert ask(RULE, run).saved_s == pytest.approx((traceback_us * 100 / 1e6 + 0.6 / 1000) * STEPS, rel=0.02)


def test_unmeasured_anomaly_detection_gets_a_stated_range(tmp_path):
    assert ask(RULE, record(tmp_path, anomaly=True)).diagnosis.basis == "stated range"


def test_nothing_on_passes(tmp_path):
    assert ask(RULE, record(tmp_path, anomaly=False)).status == "passed"


def test_a_debug_variable_alone_is_named_but_not_blamed(tmp_path):
    """Near miss: TORCH_SHOW_CPP_STACKTRACES costs nothing until something raises."""
    verdict = ask(RULE, record(tmp_path, anomaly=False, debug_env=["TORCH_SHOW_CPP_STACKTRACES"]))
    assert verdict.status == "passed"
    assert "TORCH_SHOW_CPP_STACKTRACES" in verdict.outcome.reason


@pytest.mark.parametrize("switch", ["torch.autograd.set_detect_anomaly(True)", "trainer = T(detect_anomaly=debug)"])
def test_what_is_on_during_the_steps_is_named_and_not_a_check_before(tmp_path, switch):
    source = CHECKED_BEFORE.format(switch=switch)
    assert ask(RULE, record(tmp_path, source=source, backward=6, anomaly=True)).lines == [11]


def test_a_block_around_the_call_that_trains_is_named(tmp_path):
    source = AROUND.format(switch="")
    assert ask(RULE, record(tmp_path, source=source, backward=6, anomaly=True)).lines == [11]

from __future__ import annotations

import pytest
from synthetic import SCRIPT, SyntheticRun

from diagnose.asking import ask
from slowprobe.run.record import Site
from slowprobe.run.replica_record import Replicas
from slowprobe.timeline.exchanges import Exchange

SOURCE = """\
model = DistributedDataParallel(net, find_unused_parameters=True)
for x in data:
    loss = model(x)
    loss.backward()
    optimizer.step()
"""
RULE = "find-unused"
STEPS = 50
KNOWN = {"models": 1, "world_size": 2, "synced": STEPS, "backwards": STEPS, "find_unused": True, "same_graph": True}


def record(tmp_path, *, last_ms=0.3, settings=None, wrapped=True, **known):
    run = SyntheticRun(tmp_path, SOURCE)
    run.settings(ranks=2, **(settings or {}))
    for _ in range(STEPS):
        run.forward(4.0, 3)
        run.backward(8.0, 4)
        run.optimizer(1.0, 5)
    evidence = run.evidence()
    site = Site(SCRIPT, 1, "<module>")
    vars(evidence)["replicas"] = Replicas(at_ns=0, site=site, **{**KNOWN, **known}) if wrapped else None
    vars(evidence)["exchange"] = Exchange(
        step_ms=13.0,
        exposed_ms=2.6,
        hidden_ms=0.0,
        copied_ms=0.1,
        last_ms=last_ms,
        last_share=0.6,
        last_surely=0.5,
        surely=1.0,
    )
    return evidence


def test_slow_saves_the_last_exchanges_share(tmp_path):
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [1]
    assert verdict.saved_s == pytest.approx(0.1 * evidence.partition.scope_s("step"), rel=1e-6)
    low, expected, high = verdict.found[0][1].speedup
    assert low < expected < high
    assert verdict.diagnosis.fix.diff.endswith("+model = DistributedDataParallel(net, find_unused_parameters=False)")


def test_fixed_nobody_looks(tmp_path):
    assert ask(RULE, record(tmp_path, find_unused=False)).status == "passed"


def test_near_miss_a_static_graph_is_searched_once(tmp_path):
    assert ask(RULE, record(tmp_path, static_graph=True)).status == "passed"


def test_near_miss_parameters_are_unused(tmp_path):
    verdict = ask(RULE, record(tmp_path, unused_bytes=4000))
    assert verdict.status == "passed" and "static_graph=True" in verdict.outcome.reason


def test_near_miss_parameters_were_unused_in_some_pass(tmp_path):
    assert ask(RULE, record(tmp_path, same_graph=False)).status == "passed"


def test_what_the_reducer_does_not_tell_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, same_graph=None)).status == "not-checked"
    assert ask(RULE, record(tmp_path / "few", synced=8)).status == "not-checked"


def test_an_accelerator_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, settings={"devices": ["H200"]})).status == "not-checked"


def test_without_replicas_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, wrapped=False)).status == "not-applicable"

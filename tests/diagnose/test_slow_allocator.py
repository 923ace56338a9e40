from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.timeline.memory_growth import MemoryGrowth

SOURCE = """\
for x in data:
    loss = net(x).mean()
    loss.backward()
    optimizer.step()
"""
RULE = "slow-allocator"
STEPS = 50


def record(tmp_path, fault_us: float | None = 1.0, **faults: float):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(4.0, 2)
        run.backward(8.0, 3)
        run.optimizer(1.0, 4)
    evidence = run.evidence()
    vars(evidence)["page_faults"] = faults
    vars(evidence)["costs"] = {} if fault_us is None else {"memory.fault_us": fault_us}
    return evidence


def test_slow_prices_the_faults_and_names_what_touches_the_memory(tmp_path):
    evidence = record(tmp_path, forward=100_000, backward=300_000)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [3, 2]
    assert verdict.saved_s == pytest.approx(0.4 * evidence.partition.loop_s, rel=0.02)
    assert "mallopt(-4, 0)" in verdict.diagnosis.fix.diff


def test_faults_take_no_longer_than_what_they_happen_in(tmp_path):
    evidence = record(tmp_path, forward=2_000_000)
    assert ask(RULE, evidence).saved_s == pytest.approx(evidence.partition.bucket_s("forward", "step"))


def test_fixed_has_an_allocator_that_keeps_memory(tmp_path):
    assert ask(RULE, record(tmp_path, fault_us=0.0, forward=100_000)).status == "passed"


def test_near_miss_faults_of_batches_that_workers_share(tmp_path):
    assert ask(RULE, record(tmp_path, data_wait=300_000, python=100_000, forward=20_000)).status == "passed"


def test_a_fault_may_cost_more_than_the_trial_said_and_less(tmp_path):
    change = ask(RULE, record(tmp_path, backward=200_000)).diagnosis.changes[0]
    saved = [change.seconds * (1 - left) for left in (change.factor.best, change.factor.expected, change.factor.worst)]
    assert saved == pytest.approx([1.8 * saved[1], saved[1], 0.5 * saved[1]])


def test_memory_by_which_the_process_grows_was_not_given_back(tmp_path):
    """A list of losses that keep their graphs: memory-creep's."""
    evidence = record(tmp_path, forward=100_000, backward=100_000)
    vars(evidence)["memory_growth"] = MemoryGrowth(150_000 * 4096.0, 4e8, 1, True)
    assert ask(RULE, evidence).saved_s == pytest.approx(0.05 * evidence.partition.loop_s, rel=0.02)
    vars(evidence)["memory_growth"] = MemoryGrowth(190_000 * 4096.0, 4e8, 1, True)
    assert ask(RULE, evidence).status == "passed"


def test_few_faults_need_no_price(tmp_path):
    assert ask(RULE, record(tmp_path, fault_us=None, forward=1_000)).status == "passed"
    assert ask(RULE, record(tmp_path, data_wait=1_000)).status == "not-applicable"


def test_without_a_price_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, fault_us=None, forward=100_000)).status == "not-checked"

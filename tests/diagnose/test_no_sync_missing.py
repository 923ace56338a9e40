from __future__ import annotations

import pytest
from synthetic import SCRIPT, SyntheticRun

from diagnose.asking import ask
from slowprobe.run.record import Site
from slowprobe.run.replica_record import Replicas
from slowprobe.timeline.exchanges import Exchange

SOURCE = """\
net = DistributedDataParallel(Net())
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for i, (x, y) in enumerate(data):
    loss = criterion(net(x), y)
    loss.backward()
    if i % 4 == 3:
        optimizer.step()
"""
RULE = "no-sync-missing"
UPDATES, PASSES = 20, 4
STEP_MS = 4 * 12.0 + 1.0
SEEN = Exchange(
    step_ms=STEP_MS,
    exposed_ms=16.0,
    hidden_ms=4.0,
    copied_ms=2.0,
    last_ms=0.0,
    last_share=0.0,
    last_surely=0.0,
    surely=0.5,
)


def record(tmp_path, *, passes=PASSES, synced=1.0, forwards=True, dropped=False, found=SEEN, wrapped=True, **settings):
    run = SyntheticRun(tmp_path, SOURCE)
    run.settings(ranks=2, **settings)
    for _ in range(UPDATES):
        for number in range(passes):
            if forwards or not number:
                run.forward(4.0, 4)
            run.backward(8.0, 5)
            if dropped:
                run.span("zero_grad", run._subjects.number("zero_grad", "all", "SGD"), 0.0)
        run.optimizer(1.0, 2)
    evidence = run.evidence()
    backwards = UPDATES * passes
    vars(evidence)["replicas"] = wrapped or None
    if wrapped:
        vars(evidence)["replicas"] = Replicas(
            at_ns=0,
            models=wrapped,
            site=Site(SCRIPT, 1, "<module>"),
            world_size=2,
            backwards=backwards,
            synced=round(backwards * synced),
        )
    vars(evidence)["exchange"] = found
    return evidence


def test_slow_spares_three_of_four_exchanges(tmp_path):
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [5, 4, 1]
    spent_s = evidence.partition.scope_s("step") * (16.0 + 2.0) / STEP_MS
    assert verdict.saved_s == pytest.approx(0.75 * spent_s, rel=1e-6)
    assert verdict.diagnosis.fix.diff.splitlines() == [
        "-loss = criterion(net(x), y)",
        "-loss.backward()",
        "+with net.no_sync() if (i + 1) % 4 else contextlib.nullcontext():  # i: of the micro-batch",
        "+    loss = criterion(net(x), y)",
        "+    loss.backward()",
    ]


def test_fixed_only_the_last_pass_exchanges(tmp_path):
    verdict = ask(RULE, record(tmp_path, synced=0.25))
    assert verdict.status == "passed" and "0%" in verdict.outcome.reason


def test_some_passes_under_no_sync_leave_less_to_spare(tmp_path):
    evidence = record(tmp_path, synced=0.5)
    spent_s = evidence.partition.scope_s("step") * (16.0 + 2.0) / STEP_MS
    assert ask(RULE, evidence).saved_s == pytest.approx(0.5 * spent_s, rel=1e-6)


def test_near_miss_an_update_after_each_pass(tmp_path):
    assert ask(RULE, record(tmp_path, passes=1)).status == "passed"


def test_near_miss_gradients_are_dropped_between_passes(tmp_path):
    """Two passes an update that do not add up: SAM, a penalty on gradients."""
    assert ask(RULE, record(tmp_path, dropped=True)).status == "passed"


def test_near_miss_two_passes_through_one_forward_pass(tmp_path):
    assert ask(RULE, record(tmp_path, forwards=False)).status == "passed"


def test_near_miss_exchanges_are_hidden_and_small(tmp_path):
    hidden = Exchange(
        step_ms=STEP_MS,
        exposed_ms=0.5,
        hidden_ms=8.0,
        copied_ms=0.2,
        last_ms=0.0,
        last_share=0.0,
        last_surely=0.0,
        surely=1.0,
    )
    assert ask(RULE, record(tmp_path, found=hidden)).status == "passed"


def test_what_a_slower_process_makes_wait_may_stay(tmp_path):
    low, expected, high = ask(RULE, record(tmp_path)).found[0][1].speedup
    assert low < expected < high


def test_without_replicas_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, wrapped=False)).status == "not-applicable"


def test_several_models_are_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, wrapped=2)).status == "not-checked"

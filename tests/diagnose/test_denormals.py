from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for x in data:
    net(x).backward()
    optimizer.step()
"""
RULE = "denormals"
STEPS = 50


def record(tmp_path, optimizer_ms=10.0, flushing=0.0, steps=STEPS, optimizer=True, read=True, **values):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(steps):
        run.forward(4.0, 3)
        run.backward(6.0, 3)
        if optimizer:
            run.optimizer(optimizer_ms, 1, "Adam")
    evidence = run.evidence()
    number = next((n for n, s in evidence.recording.subjects.items() if s.kind == "optimizer"), 0)
    seen = {"weights": 0.0, "gradients": 0.0, "state": 0.0, **values}
    costs = {"subnormal.flushing": flushing, **{f"subnormal.{number}.{name}": value for name, value in seen.items()}}
    vars(evidence)["costs"] = costs if read else {}
    return evidence


def slow(tmp_path, **values):
    return record(tmp_path, **{"state": 0.6, "since": 0.0, "now_ms": 4.0, "flushed_ms": 1.0, **values})


def test_slow_names_the_optimizer_and_saves_what_was_measured(tmp_path):
    verdict = ask(RULE, slow(tmp_path))
    assert verdict.lines == [1]
    assert verdict.saved_s == pytest.approx(10.0 * STEPS / 1000 * 0.75, rel=0.02)
    assert verdict.diagnosis.fix.diff == "+torch.set_flush_denormal(True)  # before the training loop"
    assert "60% of its state" in verdict.diagnosis.summary


def test_only_the_steps_after_they_were_seen_are_saved(tmp_path):
    verdict = ask(RULE, slow(tmp_path, since=25.0))
    # Half of the steps at a quarter of the time: four fifths of the time is theirs, and three quarters of that go.
    assert verdict.saved_s == pytest.approx(10.0 * STEPS / 1000 * 0.8 * 0.75, rel=0.02)


def test_fixed_flushes(tmp_path):
    assert ask(RULE, slow(tmp_path, flushing=1.0)).status == "passed"


def test_usual_numbers_pass(tmp_path):
    assert ask(RULE, record(tmp_path)).status == "passed"


def test_a_processor_that_takes_no_longer_passes(tmp_path):
    """Near miss: the numbers are there, and cost nothing here."""
    assert ask(RULE, slow(tmp_path, flushed_ms=3.9)).status == "passed"


def test_a_cheap_optimizer_passes(tmp_path):
    assert ask(RULE, slow(tmp_path, optimizer_ms=0.2)).status == "passed"


def test_weights_that_have_faded_slow_forward_and_backward(tmp_path):
    values = {"weights": 0.5, "weights_with": 0.8, "product_now_ms": 5.0, "product_flushed_ms": 1.0}
    verdict = ask(RULE, record(tmp_path, since=0.0, **values))
    assert verdict.saved_s == pytest.approx(10.0 * STEPS / 1000 * 0.8 * 0.8, rel=0.02)
    assert verdict.found[0][1].speedup[0] == 1.0


def test_tiny_gradients_are_scaled_not_flushed(tmp_path):
    verdict = ask(RULE, slow(tmp_path, gradients=0.4))
    assert "cale the loss" in verdict.diagnosis.fix.text
    assert not verdict.diagnosis.fix.diff


def test_what_was_not_read_is_not_judged(tmp_path):
    assert ask(RULE, record(tmp_path / "none", optimizer=False)).status == "not-applicable"
    evidence = record(tmp_path / "device")
    vars(evidence)["costs"] = {"subnormal.flushing": 0.0}
    assert ask(RULE, evidence).status == "not-applicable"
    assert ask(RULE, record(tmp_path / "short", read=False)).status == "not-checked"


def test_the_loops_own_steps_say_what_they_cost(tmp_path):
    evidence = slow(tmp_path, since=20.0, none_until=40.0)
    number = next(n for n, s in evidence.recording.subjects.items() if s.kind == "optimizer")
    vars(evidence)["step_lengths"] = {number: [0.002] * 40 + [0.042] * 10}  # 0.5 s in all, as recorded
    assert ask(RULE, evidence).saved_s == pytest.approx(10 * 0.040, rel=0.02)

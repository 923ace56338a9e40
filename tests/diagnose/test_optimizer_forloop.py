from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.run.schema import Subject

SOURCE = """\
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for x in data:
    net(x).backward()
    optimizer.step()
"""
RULE = "optimizer-forloop"
STEPS = 50


def record(tmp_path, optimizer_ms=10.0, ratio=0.2, measured=True, **attrs):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(STEPS):
        run.forward(4.0, 3)
        run.backward(6.0, 3)
        run.optimizer(optimizer_ms, 1, "AdamW")
    evidence = run.evidence()
    number, subject = next((n, s) for n, s in evidence.recording.subjects.items() if s.kind == "optimizer")
    described = {"class": "AdamW", "params": 300, "elements": 30_000, "fused": None, "device": "cpu", **attrs}
    evidence.recording.subjects[number] = Subject(
        id=number, kind="optimizer", name="AdamW", site=subject.site, attrs=described
    )
    costs = {f"optimizer.{number}.default_ms": 8.0, f"optimizer.{number}.fused_ms": 8.0 * ratio} if measured else {}
    vars(evidence)["costs"] = costs
    return evidence


def test_slow_names_the_construction_and_saves_what_was_measured(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [1]
    assert verdict.saved_s == pytest.approx(10.0 * STEPS / 1000 * 0.8, rel=0.02)
    assert verdict.diagnosis.fix.diff.endswith("lr=1e-3, fused=True)")
    assert verdict.diagnosis.basis == "calibrated replay"


def test_fused_passes(tmp_path):
    assert ask(RULE, record(tmp_path, fused=True)).status == "passed"


def test_a_cheap_optimizer_passes(tmp_path):
    assert ask(RULE, record(tmp_path, optimizer_ms=0.2)).status == "passed"


def test_where_fused_gains_nothing_nothing_is_saved(tmp_path):
    """Near miss: few large parameters, memory bandwidth decides, the measurement says so."""
    verdict = ask(RULE, record(tmp_path, ratio=1.0))
    assert verdict.saved_s == 0.0


def test_a_killed_run_gets_a_stated_range_and_only_for_many_parameters(tmp_path):
    assert ask(RULE, record(tmp_path / "many", measured=False)).diagnosis.basis == "stated range"
    assert ask(RULE, record(tmp_path / "few", measured=False, params=6)).status == "not-checked"


def test_without_an_optimizer_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(10):
        run.forward(4.0, 3)
        run.backward(6.0, 3)
    assert ask(RULE, run.evidence()).status == "not-applicable"


def test_a_step_unlike_the_one_measured_widens_the_range(tmp_path):
    """On a busy machine a step takes many times what it takes apart; the ratio may not hold there."""
    found = ask(RULE, record(tmp_path, optimizer_ms=80.0))
    assert "10 times what it takes apart" in found.diagnosis.summary
    assert found.found[0][1].speedup[0] == pytest.approx(1.0)


def test_optimizers_of_one_line_are_one_finding(tmp_path):
    """Two networks of a GAN, their optimizers made in one comprehension: one edit mends both."""
    source = """\
optimizers = [torch.optim.AdamW(module.parameters()) for module in modules]
for x in data:
    net(x).backward()
    step()
"""
    run = SyntheticRun(tmp_path, source)
    for _ in range(STEPS):
        run.forward(4.0, 3)
        run.backward(6.0, 3)
        run.optimizer(10.0, 1, "generator")
        run.optimizer(6.0, 1, "critic")
    evidence = run.evidence()
    costs = {}
    for number, subject in list(evidence.recording.subjects.items()):
        if subject.kind == "optimizer":
            attrs = {"class": "AdamW", "params": 300, "elements": 30_000 + number, "fused": None, "device": "cpu"}
            evidence.recording.subjects[number] = Subject(
                id=number, kind="optimizer", name="AdamW", site=subject.site, attrs=attrs
            )
            costs |= {f"optimizer.{number}.default_ms": 8.0, f"optimizer.{number}.fused_ms": 1.6}
    vars(evidence)["costs"] = costs
    verdict = ask(RULE, evidence)
    assert len(verdict.found) == 1
    assert verdict.saved_s == pytest.approx(16.0 * STEPS / 1000 * 0.8, rel=0.02)
    assert "2 optimizers" in verdict.diagnosis.summary

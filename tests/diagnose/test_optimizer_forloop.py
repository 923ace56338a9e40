from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import line_ops, with_ops
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


OWN = """\
class PaperAdam(Optimizer):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m.mul_(b1).add_(p.grad)
                p.sub_(m / v.sqrt())
optimizer = PaperAdam(net.parameters(), lr=1e-3)
for x in data:
    net(x).backward()
    optimizer.step()
"""


def own(tmp_path, root="aten::sqrt", params=100, each=100.0, measured=True):
    """Steps of 10 ms; a foreach call on all parameters takes 0.2 ms, a fused Adam 0.5."""
    run = SyntheticRun(tmp_path, OWN)
    for _ in range(STEPS):
        run.forward(4.0, 9)
        run.backward(6.0, 9)
        run.optimizer(10.0, 7, "PaperAdam")
    evidence = run.evidence()
    number, subject = next((n, s) for n, s in evidence.recording.subjects.items() if s.kind == "optimizer")
    attrs = {"class": "PaperAdam", "module": "__main__", "params": params, "elements": 3_000, "device": "cpu"}
    evidence.recording.subjects[number] = Subject(
        id=number, kind="optimizer", name="PaperAdam", site=subject.site, attrs=attrs
    )
    ops = ("aten::mul_", "aten::add_", "aten::div", "aten::sub_", root)
    lines = [
        line_ops(line, each, op=op, function="PaperAdam.step", forward_ms=2.0, left_ms=0.1)
        for line, op in zip((5, 5, 6, 6, 6), ops, strict=True)
    ]
    costs = {"foreach.mul_ms": 0.2, "foreach.tensors": 100.0, f"optimizer.{number}.adam_fused_ms": 0.5}
    return with_ops(evidence, lines, 20.0, costs=costs if measured else {})


def test_an_adam_written_by_hand_is_compared_with_torchs(tmp_path):
    verdict = ask(RULE, own(tmp_path))
    assert verdict.lines == [7, 4]
    assert verdict.diagnosis.fix.diff.endswith("+optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)")
    assert verdict.saved_s == pytest.approx(9.5 * STEPS / 1000, rel=0.02)


def test_another_update_written_by_hand_does_each_operation_for_all_parameters(tmp_path):
    """A norm of each parameter is no part of Adam: torch has no fused form of it."""
    verdict = ask(RULE, own(tmp_path, root="aten::linalg_vector_norm"))
    assert verdict.lines == [4, 7]
    assert "_foreach_" in verdict.diagnosis.fix.diff
    assert verdict.saved_s == pytest.approx((10.0 - 5 * 0.2) * STEPS / 1000, rel=0.02)


@pytest.mark.parametrize("unlike", [{"params": 6, "each": 6.0}, {"each": 20.0}, {"measured": False}])
def test_few_parameters_few_operators_on_each_or_nothing_measured_is_no_finding(tmp_path, unlike):
    """Near misses: an update in few calls, a handful of tensors; and a run that was killed before the trials."""
    assert ask(RULE, own(tmp_path, **unlike)).status == "passed"

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.run.gradient_record import GradientUse

SOURCE = """\
optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1)
for x in data:
    loss = net(x)
    loss.backward()
    optimizer.step()
"""
RULE = "wasted-backward"
STEPS = 50


PART = """\
class Net(nn.Module):
    def forward(self, x):
        soft = softmax(self.teacher(x))
        return kl_div(self.student(x), soft)

"""


def record(
    tmp_path,
    wasted=(("Net.backbone", "unowned", 4, 4000),),
    times=True,
    backward_ms=8.0,
    use=True,
    source=SOURCE,
    fates=(0, 2),
    **settings,
):
    run = SyntheticRun(tmp_path, source)
    run.settings(**settings)
    for _ in range(STEPS):
        run.forward(4.0, 3)
        run.backward(backward_ms, 4)
        run.optimizer(1.0, 1)
    evidence = run.evidence()
    if use:
        number = next(n for n, s in evidence.recording.subjects.items() if s.kind == "backward")
        vars(evidence)["gradient_use"] = GradientUse(
            at_ns=0,
            passes=1,
            parameters=6,
            subjects=[number] if wasted else [],
            names=["AddmmBackward0"],
            nodes=[[0, 0]] if wasted else [],
            fates=[list(fates)] if wasted else [],
            wasted=list(wasted),
        )
    vars(evidence)["node_times"] = {"AddmmBackward0": [[2.0, 6.0]]} if times else {}
    return evidence


def test_slow_names_the_optimizer_and_saves_the_share_of_the_backward_pass(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [1, 4]
    assert verdict.saved_s == pytest.approx(8.0 * STEPS / 1000 * 0.75, rel=1e-6)
    assert verdict.diagnosis.basis == "calibrated replay"
    assert verdict.diagnosis.fix.diff == "+model.backbone.requires_grad_(False)"


def test_dropped_gradients_name_the_pass_that_makes_them(tmp_path):
    verdict = ask(RULE, record(tmp_path, wasted=(("Critic.0", "dropped", 4, 4000),)))
    assert verdict.lines == [4]
    assert "discriminator.requires_grad_(False)" in verdict.diagnosis.fix.diff


def test_fixed_all_gradients_are_used(tmp_path):
    verdict = ask(RULE, record(tmp_path, wasted=()))
    assert verdict.status == "passed"
    assert "6 parameters" in verdict.outcome.reason


def test_near_miss_a_small_part_passes(tmp_path):
    assert ask(RULE, record(tmp_path, backward_ms=0.1)).status == "passed"


def test_without_a_window_the_range_is_stated(tmp_path):
    verdict = ask(RULE, record(tmp_path, times=False))
    assert verdict.diagnosis.basis == "stated range"
    assert verdict.saved_s == pytest.approx(8.0 * STEPS / 1000 * 0.5, rel=1e-6)


def test_an_accelerator_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, devices=["H200"])).status == "not-checked"


def test_gradients_that_were_not_followed_are_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, use=False)).status == "not-checked"


def test_without_an_optimizer_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(10):
        run.forward(4.0, 3)
        run.backward(6.0, 4)
    assert ask(RULE, run.evidence()).status == "not-applicable"


def test_a_part_that_nothing_below_learns_is_called_without_gradients(tmp_path):
    verdict = ask(RULE, record(tmp_path, wasted=(("Net.teacher", "unowned", 4, 4000),), source=PART + SOURCE))
    assert verdict.lines[0] == 3
    assert "self.teacher under torch.no_grad()" in verdict.diagnosis.fix.text


def test_a_part_on_the_way_to_what_learns_is_frozen_only(tmp_path):
    """Near miss: a product makes its unused weight's gradient and hands a used one on."""
    teacher = (("Net.teacher", "unowned", 4, 4000),)
    verdict = ask(RULE, record(tmp_path, wasted=teacher, source=PART + SOURCE, fates=(0, 1)))
    assert "no_grad" not in verdict.diagnosis.fix.text
    assert verdict.lines[0] != 3

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import line_ops, with_ops
from slowprobe.capture.machine import accelerators
from slowprobe.run.schema import Subject

RULE = "wrong-device"
STEPS = 40
SOURCE = """\
for x in data:
    loss = net(x)
    loss.backward()
"""
LARGE = line_ops(2, 3, op="aten::mm", function="main", forward_ms=9.0, left_ms=9.0)


def record(tmp_path, *, device="cpu", small=0.1, forward_ms=10.0, python_ms=1.0, **settings):
    run = SyntheticRun(tmp_path, SOURCE)
    run.settings(**settings)
    for _ in range(STEPS):
        run.forward(forward_ms, 2)
        run.backward(forward_ms, 3)
        run.optimizer(1.0)
        run.python(python_ms)
    evidence = with_ops(run.evidence(), [LARGE], 22.0, work=0.8, small=small)
    for number, subject in list(evidence.recording.subjects.items()):
        if subject.kind == "forward":
            attrs = {**subject.attrs, "device": device}
            evidence.recording.subjects[number] = Subject(
                id=number, kind="forward", name="Net", site=subject.site, attrs=attrs
            )
    return evidence


def test_a_model_that_was_never_moved(tmp_path):
    verdict = ask(RULE, record(tmp_path, accelerators=1))
    assert verdict.lines == [2]
    assert verdict.saved_s == pytest.approx(20.0 * STEPS / 1000 * 0.8 * 0.9, rel=0.01)
    assert verdict.diagnosis.basis == "stated range"


def test_a_part_that_was_left_behind(tmp_path):
    verdict = ask(RULE, record(tmp_path, accelerators=1, devices=["some GPU"]))
    assert "some GPU does the rest" in verdict.diagnosis.summary


def test_a_model_on_the_accelerator_passes(tmp_path):
    """Fixed."""
    assert ask(RULE, record(tmp_path, device="cuda", accelerators=1, devices=["some GPU"])).status == "passed"


def test_small_operators_have_nothing_to_gain(tmp_path):
    """Near miss: a small model on the CPU, where it belongs."""
    assert ask(RULE, record(tmp_path, small=0.8, accelerators=1)).status == "passed"


def test_a_loop_that_does_something_else_passes(tmp_path):
    assert ask(RULE, record(tmp_path, forward_ms=1.0, python_ms=30.0, accelerators=1)).status == "passed"


def test_without_an_accelerator_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path / "none", accelerators=0)).status == "not-applicable"
    assert ask(RULE, record(tmp_path / "older")).status == "not-checked"


@pytest.mark.parametrize(("visible", "count"), [(None, 2), ("0", 1), ("", 0), ("-1", 0), ("0,1,2,3", 2)])
def test_accelerators_are_counted_without_cuda(monkeypatch, visible, count):
    nodes = [Path("/dev") / name for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm")]
    monkeypatch.setattr(Path, "glob", lambda _self, _pattern: iter(nodes))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert accelerators(SimpleNamespace(version=SimpleNamespace(cuda="13.0"))) == count

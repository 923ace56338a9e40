"""A recorded run with a device: its profiler windows, one without shapes and one with them."""

from __future__ import annotations

import pytest
from synthetic import SyntheticRun
from synthetic_trace import SyntheticTrace

from diagnose.asking import ask
from diagnose.device import BF16
from slowprobe.run.schema import Window

IMAGES = {"Input Dims": [[32, 3, 224, 224]] * 2, "Input type": ["float", "float"]}
WORDS = {"Input Dims": [[4096, 768], [768, 50257]], "Input type": ["c10::BFloat16"] * 2}
COPY_US, PRODUCT_US, STEPS = 1_000.0, 1_000.0, 5


def window(folder, steps, shaped, idle=False):
    trace = SyntheticTrace(folder)
    for _ in range(steps):
        with trace.step():
            if idle:
                trace.python(100.0)
                continue
            with trace.op("aten::copy_", **(IMAGES if shaped else {})):
                trace.copy("HtoD (Pinned -> Device)", COPY_US, 32 * 3 * 224 * 224 * 4)
            with trace.op("aten::mm", **(WORDS if shaped else {})):
                trace.kernel(BF16, PRODUCT_US)
            trace.sync()
    return trace


def record(tmp_path, *, devices=("NVIDIA A100-SXM4-80GB",), idle=False, annotated=True):
    run = SyntheticRun(tmp_path)
    run.settings(devices=list(devices))
    loader = run.loader(1)
    with run.epoch(loader):
        for _ in range(100):
            run.batch(loader, 0.1)
            run.train(0.5, 1.0, 0.5)
    for role, steps in (("clean", STEPS), ("annotated", 1)):
        if role == "clean" or annotated:
            window(run.folder, steps, role == "annotated", idle).write(f"{role}.json")
            path = f"{role}.json"
            times = {"opened_ns": 0, "start_ns": 0, "end_ns": 1, "resumed_ns": 2}
            run._journal.write(Window(role=role, steps=steps, events=10, path=path, **times))
    return run.evidence()


def test_shapes_of_one_step_tell_what_the_others_copy(tmp_path):
    evidence = record(tmp_path)
    verdict = ask("fat-transfer-dtype", evidence)
    _, outlook = verdict.found[0]
    step_us = COPY_US + PRODUCT_US
    assert outlook.saved_s / 0.2 == pytest.approx(0.75 * COPY_US / step_us, rel=0.1), "of 100 steps of 2 ms"
    assert [tensor.count for tensor in evidence.copied_tensors] == [STEPS]


def test_products_are_known_by_their_kernels(tmp_path):
    verdict = ask("misaligned-dims", record(tmp_path))
    assert "50257 to 50304" in verdict.diagnosis.fix.text and verdict.saved_s > 0


def test_without_the_window_with_shapes(tmp_path):
    evidence = record(tmp_path, annotated=False)
    assert ask("fat-transfer-dtype", evidence).status == "not-checked"
    assert ask("misaligned-dims", evidence).status == "not-checked"
    assert ask("cpu-created-tensor", evidence).status == "passed"


@pytest.mark.parametrize("change", [{"idle": True}, {"devices": ()}])
def test_a_device_that_did_nothing_is_none(tmp_path, change):
    evidence = record(tmp_path, **change)
    assert evidence.device is None and evidence.copied_tensors == []
    assert ask("fat-transfer-dtype", evidence).status == "not-applicable"

from __future__ import annotations

import pytest

from diagnose.device import about, ahead

RULE = "cpu-created-tensor"
SENT = {"Input Dims": [[512, 512], [512, 512], []], "Input type": ["float", "float", "Scalar"]}


def made(trace, filled=(512, 512), between_us=5.0, on_device=False, fill_us=300.0):
    with trace.line("train.py", 21, "add_noise"):
        with trace.op("aten::randn"):
            with trace.op("aten::empty"):
                pass
            with trace.op("aten::normal_", **{"Input Dims": [list(filled), [], [], []], "Input type": ["float"]}):
                trace.python(fill_us)
                if on_device:
                    trace.kernel("distribution_elementwise_grid_stride_kernel", 5.0)
        trace.python(between_us)
        with trace.op("aten::to"), trace.op("aten::_to_copy"):
            with trace.op("aten::empty_strided"):
                pass
            with trace.op("aten::copy_", **SENT):
                trace.copy("HtoD (Pageable -> Device)", 200.0, 1 << 20)
                trace.sync()
    ahead(trace, kernels=3)
    trace.sync()


def test_slow_saves_filling_copying_and_waiting(tmp_path):
    verdict = about(RULE, tmp_path, made)
    assert verdict.lines == [21] and "torch.randn(..., device=device)" in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.evidence["a step"] == pytest.approx(1, abs=0.05)
    # The host filled for 300 µs, at 1.6 times that while stacks are recorded, and then waited 200 µs for the copy.
    assert verdict.saved_s == pytest.approx(6 * (300 / 1.6 + 205) * 1e-6, rel=0.1)


def test_fixed_fills_on_the_device(tmp_path):
    def step(trace):
        with trace.op("aten::randn"), trace.op("aten::normal_"):
            trace.kernel("distribution_elementwise_grid_stride_kernel", 5.0)
        ahead(trace, kernels=3)

    assert about(RULE, tmp_path, step).status == "passed"


@pytest.mark.parametrize("change", [{"filled": (64, 64)}, {"between_us": 500.0}, {"on_device": True}])
def test_another_tensor_that_is_copied_then_passes(tmp_path, change):
    """Near misses: of another size, long after, or filled on the device."""
    assert about(RULE, tmp_path, lambda trace: made(trace, **change)).status == "passed"


def test_arange_whose_size_no_operator_tells(tmp_path):
    """As torch 2.13 records it: the tensor that is filled is empty at first."""

    def step(trace):
        with trace.op("aten::arange"):
            with trace.op("aten::empty", **{"Input Dims": [[], []], "Input type": ["ScalarList", "Scalar"]}):
                pass
            with trace.op(
                "aten::arange", **{"Input Dims": [[], [], [], [0]], "Input type": ["Scalar"] * 3 + ["float"]}
            ):
                trace.python(200.0)
        with trace.op("aten::to"), trace.op("aten::copy_", **SENT):
            trace.copy("HtoD (Pageable -> Device)", 200.0, 1 << 20)
        ahead(trace, kernels=3)

    assert about(RULE, tmp_path, step).diagnosis.evidence["operators"] == "arange"


def test_without_shapes_what_follows_at_once_is_the_same_tensor(tmp_path):
    def step(trace):
        with trace.op("aten::zeros"), trace.op("aten::zero_"):
            trace.python(200.0)
        with trace.op("aten::to"), trace.op("aten::copy_"):
            trace.copy("HtoD (Pageable -> Device)", 200.0, 1 << 20)
        ahead(trace, kernels=3)

    assert about(RULE, tmp_path, step).status == "found"


def test_a_tensor_of_a_list_passes(tmp_path):
    """Near miss: torch.tensor([…]).to(device) has its values from Python; device= would copy as well."""

    def step(trace):
        for name in ("aten::empty", "aten::lift_fresh", "aten::detach_"):
            with trace.op(name):
                trace.python(100.0)
        with trace.op("aten::to"), trace.op("aten::copy_"):
            trace.copy("HtoD (Pageable -> Device)", 200.0, 1 << 20)
        ahead(trace, kernels=3)

    assert about(RULE, tmp_path, step).status == "passed"


def test_a_batch_from_the_loader_passes(tmp_path):
    def step(trace):
        trace.data(100.0)
        with trace.op("aten::to"), trace.op("aten::copy_", **SENT):
            trace.copy("HtoD (Pageable -> Device)", 200.0, 1 << 20)
        ahead(trace, kernels=3)

    assert about(RULE, tmp_path, step).status == "passed"


def test_once_at_the_start_passes(tmp_path):
    seen = []

    def step(trace):
        seen.append(1)
        made(trace) if len(seen) == 1 else ahead(trace, kernels=3)

    assert about(RULE, tmp_path, step).status == "passed"


def test_without_a_device_it_is_not_applicable(tmp_path):
    assert about(RULE, tmp_path, lambda trace: trace.python(100.0)).status == "not-applicable"

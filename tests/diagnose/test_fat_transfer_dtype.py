from __future__ import annotations

import pytest

from diagnose.device import about, ahead

RULE = "fat-transfer-dtype"
IMAGES = ((32, 3, 224, 224), "float", 4)


def copies(trace, shape, dtype, item_bytes, us=1_000.0, kind="HtoD (Pinned -> Device)"):
    size = item_bytes
    for each in shape:
        size *= each
    shapes = {"Input Dims": [list(shape), list(shape), []], "Input type": [dtype, dtype, "Scalar"]}
    with trace.line("train.py", 9, "train"), trace.op("aten::to"), trace.op("aten::copy_", **shapes):
        trace.copy(kind, us, size)
    ahead(trace, kernels=10)
    trace.sync()


def test_slow_images_in_float_save_three_quarters_of_the_copy(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: copies(trace, *IMAGES))
    assert verdict.lines == [9] and "uint8" in verdict.diagnosis.fix.text
    assert verdict.diagnosis.evidence["tensors"] == "float32 32x3x224x224"
    _, outlook = verdict.found[0]
    assert verdict.saved_s == pytest.approx(6 * 0.75e-3, rel=0.05)
    assert outlook.worst_s == pytest.approx(outlook.before_s), "nobody knows the values"


@pytest.mark.parametrize(
    ("shape", "dtype", "size", "saved", "at_worst"),
    [
        ((16, 512, 512), "long int", 8, 7 / 8, 0.0),
        ((1000, 500), "double", 8, 1 / 2, 1 / 2),
        ((8, 64, 64, 3), "double", 8, 7 / 8, 1 / 2),
        ((4, 8, 3, 64, 64), "c10::Half", 2, 1 / 2, 0.0),
    ],
)
def test_masks_doubles_and_videos(tmp_path, shape, dtype, size, saved, at_worst):
    verdict = about(RULE, tmp_path, lambda trace: copies(trace, shape, dtype, size))
    _, outlook = verdict.found[0]
    assert verdict.saved_s == pytest.approx(6e-3 * saved, rel=0.05)
    assert outlook.before_s - outlook.worst_s == pytest.approx(6e-3 * at_worst, rel=0.05, abs=1e-5)


def test_fixed_sends_bytes(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: copies(trace, IMAGES[0], "unsigned char", 1))
    assert verdict.status == "passed"


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [
        ((64, 512, 768), "float", 4),
        ((32, 2048), "long int", 8),
        ((16, 64, 512), "long int", 8),
        ((32, 1, 128, 400), "float", 4),
        ((16, 4, 64, 64), "float", 4),
    ],
)
def test_what_needs_its_type_passes(tmp_path, shape, dtype, size):
    """Near misses: features, token numbers, also in pieces, spectrograms of one channel, latents of four."""
    assert about(RULE, tmp_path, lambda trace: copies(trace, shape, dtype, size)).status == "passed"


def test_a_copy_that_is_hidden_or_short_passes(tmp_path):
    """Near miss: 20 µs of 4 ms."""
    verdict = about(RULE, tmp_path, lambda trace: copies(trace, *IMAGES, us=20.0))
    assert verdict.status == "passed" and "of the time" in verdict.outcome.reason


def test_without_shapes_it_is_not_checked(tmp_path):
    def step(trace):
        with trace.op("aten::copy_"):
            trace.copy("HtoD (Pinned -> Device)", 1_000.0, 12 << 20)
        ahead(trace, kernels=10)

    assert about(RULE, tmp_path, step).status == "not-checked"
    assert about(RULE, tmp_path, ahead).status == "passed"


def test_without_a_device_it_is_not_applicable(tmp_path):
    assert about(RULE, tmp_path, lambda trace: trace.python(100.0)).status == "not-applicable"


def test_a_size_that_does_not_fit_the_shape_is_not_believed(tmp_path):
    """The operator around a copy can be about another tensor."""
    assert about(RULE, tmp_path, lambda trace: copies(trace, IMAGES[0], "float", 2)).status == "not-checked"

from __future__ import annotations

import pytest

from diagnose.device import BF16, GEMM, TF32, about, ahead

RULE = "misaligned-dims"


VOCABULARY = BF16 + "_other"


def product(trace, m, k, n, dtype="c10::BFloat16", kernel=BF16, us=400.0, count=1, op="aten::mm"):
    shapes = {"Input Dims": [[m, k], [k, n]], "Input type": [dtype, dtype]}
    if op == "aten::addmm":
        shapes = {"Input Dims": [[n], [m, k], [k, n]], "Input type": [dtype] * 3}
    for _ in range(count):
        with trace.op(op, **shapes):
            trace.kernel(kernel, us)


def vocabulary(trace, size=50257):
    """Forward, and back to its input: half of the time; layers the other half, by another kernel."""
    product(trace, 4096, 768, size, kernel=VOCABULARY)
    product(trace, 4096, size, 768, kernel=VOCABULARY)
    product(trace, 4096, 768, 3072, us=80.0, count=10, op="aten::addmm")
    trace.sync()


def test_slow_names_the_vocabulary_and_its_padding(tmp_path):
    verdict = about(RULE, tmp_path, vocabulary)
    assert "50257 to 50304" in verdict.diagnosis.fix.text
    assert verdict.diagnosis.evidence["of the products' time"] == 0.5
    # 0.35 of 800 µs a step, less a thousandth more to compute.
    assert verdict.saved_s == pytest.approx(6 * 800e-6 * (1 - 0.65 * 50304 / 50257), rel=0.02)
    _, outlook = verdict.found[0]
    assert outlook.worst_s == pytest.approx(outlook.before_s)


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, lambda trace: vocabulary(trace, 50304)).status == "passed"


def test_kernels_that_say_how_they_read_are_believed(tmp_path):
    """cutlass: align8 reads whole words whatever the sizes; align1 does not, though only the rows are odd in number."""
    rows = "cutlass_80_tensorop_bf16_s16816gemm_bf16_128x128_64x3_nt_"

    def step(trace, name, n=50257):
        product(trace, 4093, 768, n, kernel=name, count=5)

    assert about(RULE, tmp_path, lambda trace: step(trace, rows + "align8")).status == "passed"
    verdict = about(RULE, tmp_path, lambda trace: step(trace, rows + "align1", 1024))
    assert "4093 to 4096" in verdict.diagnosis.fix.text
    assert (
        about(RULE, tmp_path, lambda trace: product(trace, 4096, 768, 1024, kernel=rows + "align1")).status == "passed"
    )


def test_an_odd_number_of_rows_passes(tmp_path):
    """Near miss: a last batch of 4,093 tokens; rows of activations are as long as ever."""
    verdict = about(RULE, tmp_path, lambda trace: product(trace, 4093, 768, 3072, count=5))
    assert verdict.status == "passed"


def test_a_classifier_of_ten_classes_passes(tmp_path):
    """Near miss: narrow, and next to nothing of the time."""

    def step(trace):
        product(trace, 512, 768, 3072, count=10)
        product(trace, 512, 768, 10, us=20.0)

    assert about(RULE, tmp_path, step).status == "passed"


def test_tf32_needs_multiples_of_four(tmp_path):
    def step(trace, n):
        product(trace, 512, 768, n, "float", TF32, count=5)

    assert about(RULE, tmp_path, lambda trace: step(trace, 1026)).status == "found"
    assert about(RULE, tmp_path, lambda trace: step(trace, 1028)).status == "passed"


def test_float32_without_tensor_cores_is_not_applicable(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: product(trace, 512, 768, 1027, "float", GEMM, count=5))
    assert verdict.status == "not-applicable"
    older = {"device": "Tesla P100-PCIE-16GB", "capability": (6, 0)}
    assert about(RULE, tmp_path, vocabulary, **older).status == "not-applicable"


def test_other_makers_are_not_applicable(tmp_path):
    """AMD's matrix cores ask for other multiples."""
    verdict = about(RULE, tmp_path, vocabulary, device="AMD Instinct MI300X", capability=(None, None))
    assert verdict.status == "not-applicable"


def test_without_shapes_it_is_not_checked(tmp_path):
    verdict = about(RULE, tmp_path, ahead)
    assert verdict.status == "not-checked" and "record_shapes" in verdict.outcome.reason

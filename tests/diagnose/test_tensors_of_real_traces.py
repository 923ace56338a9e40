"""What the rules about tensors say of traces that other people recorded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diagnose.asking import ask
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.trace.reader import read_trace

RULES = ("fat-transfer-dtype", "cpu-created-tensor", "pingpong", "link-limit", "misaligned-dims", "cudnn-benchmark")
V100, A100 = "v100_resnet50_workers4/worker0.1623212756351.pt.trace.json.gz", "hta_a100_8rank_r3_control.json.gz"


SHARED = Path(os.environ.get("SLOWPROBE_TRACES") or Path(__file__).parents[3] / "shared" / "traces")


def evidence(name):
    if not (SHARED / name).is_file():
        pytest.skip("../shared/traces is absent (or name its place in SLOWPROBE_TRACES)")
    return TraceEvidence(read_trace(SHARED / name))


@pytest.mark.parametrize(
    "name", [V100, "tl_h100_qwen15_05b.json.gz", "dlrm_8rank/worker0_step_12.1694128201545.pt.trace.json.gz"]
)
def test_nothing_to_say(name):
    seen = evidence(name)
    assert {ask(rule, seen).status for rule in RULES} <= {"passed", "not-applicable", "not-checked"}


def test_a_batch_of_images_is_seen_whole():
    """ResNet-50: 32 images of float32 and their labels in each of six steps."""
    images, labels = evidence(V100).copied_tensors
    assert (images.dims, images.dtype, images.count) == ((32, 3, 224, 224), "float", 6)
    assert (labels.dims, labels.dtype, labels.count) == ((32,), "long int", 6)
    assert images.size_bytes == 19_267_584


def test_the_link_of_eight_ranks_and_their_odd_sizes():
    """Eight A100 on shared links; products of 30 x 647, which partly fall back to ordinary units."""
    seen = evidence(A100)
    assert "8.6 GB/s" in ask("link-limit", seen).outcome.reason
    verdict = ask("misaligned-dims", seen)
    assert "647 to 648, 30 to 32" in verdict.diagnosis.fix.text
    assert verdict.diagnosis.evidence["of the products' time"] == pytest.approx(0.584, abs=0.001)
    assert {p.tensor_cores for p in seen.matrix_products if p.sizes == (96, 30, 647)} == {False}, (
        "float32 without tensor cores, where others have TF32"
    )


def test_random_tensors_made_on_the_host():
    """A toy that feeds itself with torch.randn(…).to(device): two a step, and the first step was half recorded."""
    verdict = ask("cpu-created-tensor", evidence("hta_mi250_minitoy_train.json.gz"))
    assert verdict.diagnosis.evidence["operators"] == "randn"
    assert 0 < verdict.saved_s < 0.05 * verdict.found[0][1].before_s


def test_sizes_are_judged_on_nvidia_devices_only():
    seen = evidence("tl_mi300x_owlv2_pystack.json.gz")
    assert any(product.n == 5185 for product in seen.matrix_products)
    assert ask("misaligned-dims", seen).status == "not-applicable"

"""Where the real traces are: beside the checkout, or in the folder that SLOWPROBE_TRACES names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SLOWPROBE_TRACES") or Path(__file__).parents[3] / "shared" / "traces")

SMALL = (
    "h100_sync_events_after.pt.trace.json",
    "h100_sync_events_before.pt.trace.json",
    "hta_a100_alexnet_cudasync.json.gz",
    "hta_cpu_only_gloo_r34.json.gz",
    "hta_mi250_minitoy_train.json.gz",
    "tl_mi300x_torchcompile_triton.json.gz",
    "sampled_2of128/sampled_rank-0.json.gz",
    "sampled_2of128/sampled_rank-1.json.gz",
    "dlrm_8rank/worker0_step_12.1694128201545.pt.trace.json.gz",
    "dlrm_8rank/worker1_step_12.1694128201556.pt.trace.json.gz",
    "dlrm_8rank/worker2_step_12.1694128201554.pt.trace.json.gz",
    "dlrm_8rank/worker3_step_12.1694128201557.pt.trace.json.gz",
    "dlrm_8rank/worker4_step_12.1694128201547.pt.trace.json.gz",
    "dlrm_8rank/worker5_step_12.1694128201549.pt.trace.json.gz",
    "dlrm_8rank/worker6_step_12.1694128201553.pt.trace.json.gz",
    "dlrm_8rank/worker7_step_12.1694128201553.pt.trace.json.gz",
    "tl_h100_qwen15_05b.json.gz",
)
LARGE = (
    "v100_resnet50_list_toplevel/worker0.pt.trace.json.gz",
    "v100_resnet50_cold_no_markers/worker0.pt.trace.json.gz",
    "v100_resnet50_workers0/worker0.1623143089861.pt.trace.json.gz",
    "v100_resnet50_workers4/worker0.1623212756351.pt.trace.json.gz",
    "hta_a100_8rank_r3_control.json.gz",
    "hta_v100_2rank_r1.json.gz",
    "tl_mi300x_owlv2_pystack.json.gz",
    "hta_mtia_r0.json.gz",
)
"""Of 27 to 87 MB of text."""


def real_trace(name: str) -> Path:
    """The path of a real trace; skips the test where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"no real trace {name}: ../shared/traces is absent, and SLOWPROBE_TRACES names no such folder")
    return path

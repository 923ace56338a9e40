"""A batch of recorded shapes made in one piece, and a file in memory read, after a recording."""

from __future__ import annotations

import time

import torch

from slowprobe.capture.batch_trials import MAX_TENSORS, layout_of, try_batch
from slowprobe.capture.read_trial import try_reading

NAMES = {"stacked", "padded", "rows", "tensor_rows", "by_tensor"}


def test_a_layout_is_that_of_the_tensors_in_a_batch() -> None:
    batch = {"x": torch.zeros(4, 3), "more": [torch.zeros(4, dtype=torch.int64), "text"]}
    assert layout_of(batch) == [([4, 3], "torch.float32"), ([4], "torch.int64")]
    assert layout_of([torch.zeros(1)] * (MAX_TENSORS + 1)) == []
    assert layout_of("text") == []


def test_every_way_of_making_the_batch_is_timed() -> None:
    layout = [([16, 40], "torch.float32"), ([16], "torch.int64")]
    tried = try_batch(torch, "loader.3", layout, time.perf_counter() + 0.05)
    assert set(tried) == {f"loader.3.{name}_ms" for name in NAMES}
    assert all(ms > 0 for ms in tried.values())


def test_what_numpy_lacks_and_what_is_no_batch_is_not_tried() -> None:
    for layout in (
        [],
        [([], "torch.float32")],
        [([8, 2], "torch.bfloat16")],
        [([8, 2], "torch.float32"), ([3], "torch.int64")],
    ):
        assert try_batch(torch, "loader.3", layout, time.perf_counter() + 0.05) == {}
    assert try_batch(torch, "loader.3", [([1000, 10_000_000], "torch.float32")], time.perf_counter()) == {}


def test_reading_from_memory_is_timed() -> None:
    assert 0 < try_reading(time.perf_counter() + 0.02).get("read_ms_per_mb", 0.1) < 50

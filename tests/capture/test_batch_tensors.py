"""How many tensors a batch holds, and how large they are."""

from __future__ import annotations

import torch

from slowprobe.capture.batch_tensors import batch_tensors


def test_tensors_are_counted_in_nested_batches() -> None:
    batch = {"image": torch.zeros(1), "boxes": [torch.zeros(1), (torch.zeros(2, dtype=torch.int64), "cat")]}
    assert batch_tensors(batch) == (3, 4 + 4 + 16)


def test_what_holds_none() -> None:
    assert batch_tensors("text") == batch_tensors([]) == batch_tensors({"ids": [1, 2]}) == (0, 0)


def test_a_long_list_is_taken_to_go_on_like_its_first_hundred_parts() -> None:
    assert batch_tensors([torch.zeros(3) for _ in range(250)]) == (250, 3000)

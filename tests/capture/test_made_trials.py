"""Tensors that a step makes of lists, made again of arrays after a recording."""

from __future__ import annotations

import torch

from slowprobe.capture.made_trials import MAX_SHAPES, MIN_VALUES, try_made


def test_a_large_tensor_is_tried_under_its_name_in_the_step() -> None:
    tried = try_made(torch, [([32, 128], "float"), ([64, 64], "unsigned char")])
    assert tried["made.32x128.float.stacked_ms"] > 0
    assert tried["made.64x64.unsigned_char.stacked_ms"] > 0


def test_what_is_converted_at_once_or_lacks_a_second_dimension_is_not_tried() -> None:
    assert try_made(torch, [([8, MIN_VALUES // 16], "float"), ([100_000], "float"), ([64, 64], "c10::BFloat16")]) == {}


def test_only_the_largest_are_tried() -> None:
    made = [([64, 32 + number], "long int") for number in range(MAX_SHAPES + 3)]
    names = {key.split(".")[1] for key in try_made(torch, made)}
    assert names == {f"64x{32 + number}" for number in range(3, MAX_SHAPES + 3)}

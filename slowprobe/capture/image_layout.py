"""What lies between the convolutions of a step, in channels_last: layers that are slower so must count against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from slowprobe.capture.operator_edits import COPIES, PRODUCTS
from slowprobe.capture.step_operators import Operator


@dataclass(frozen=True)
class Images:
    """How images are told from other tensors of four dimensions: by the convolutions that read and make them."""

    kinds: frozenset[tuple[int, int]]
    """How many, and how many channels."""
    features: frozenset[int]
    """Columns of what has two dimensions: images are made flat for that, and gradients come back in that order."""
    convolved_ns: int
    """Spent in convolutions of images whose channels lie apart."""

    def turned(self, operator: Operator) -> Operator | None:
        """With its images in channels_last; None where it has none, and for convolutions, which are tried as layers."""
        if any(word in operator.name for word in (*PRODUCTS, *COPIES)):
            return None
        strides = tuple(
            _by_pixel(size) if self._turns(operator, size, stride) else stride
            for size, stride in zip(operator.sizes, operator.strides, strict=True)
        )
        return None if strides == operator.strides else replace(operator, strides=strides)

    def _turns(self, operator: Operator, size: Sequence[int], stride: Sequence[int]) -> bool:
        if len(size) != 4 or tuple(size[:2]) not in self.kinds or not _is_apart(size, stride):
            return False
        comes_back = size is operator.sizes[0] and "backward" in operator.name and prod(size[1:]) in self.features
        return not comes_back


def images_of(operators: Sequence[Operator]) -> Images:
    """Of a step's operators."""
    kinds, spent_ns = set(), 0
    for each in operators:
        if "conv" not in each.name or sum(len(size) == 4 for size in each.sizes[:3]) < 2:
            continue
        backward = "backward" in each.name
        image, weight = each.sizes[1:3] if backward else each.sizes[:2]
        if len(image) != 4 or len(weight) != 4:
            continue
        kinds |= {(image[0], image[1]), (image[0], weight[0])}
        spent_ns += each.spent_ns if _is_apart(image, each.strides[1 if backward else 0]) else 0
    columns = {size[1] for each in operators for size in each.sizes if len(size) == 2}
    return Images(frozenset(kinds), frozenset(columns), spent_ns)


def _is_apart(size: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether the channels of a pixel lie apart, and it is not the same either way."""
    return size[1] > 1 and prod(size[2:]) > 1 and list(stride) == [prod(size[at + 1 :]) for at in range(4)]


def _by_pixel(size: Sequence[int]) -> list[int]:
    _, channels, height, width = size
    return [channels * height * width, 1, width * channels, channels]

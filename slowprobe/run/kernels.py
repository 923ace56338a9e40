"""What the profiler window saw of matrix products and convolutions: their shapes, and the order they ran in."""

from __future__ import annotations

import math

import msgspec

from slowprobe.run.record import RecordBase


class Kernel(msgspec.Struct, frozen=True):
    """A matrix product or convolution that the annotated step ran, told apart by what decides its cost."""

    name: str
    """``aten::addmm``, ``aten::convolution_backward``, …"""
    left: list[int]
    """Dimensions of the left factor (matmul, bmm) or of the convolution's input."""
    right: list[int]
    """The same of the right factor or of the weight."""
    dtype: str
    """As the profiler writes it: ``float``, ``c10::BFloat16``, …"""
    stride: list[int] = []
    padding: list[int] = []
    dilation: list[int] = []
    output_padding: list[int] = []
    transposed: bool = False
    groups: int = 1
    products: int = 1
    """A convolution's backward makes the gradient of its input, of its weight, or both."""
    channels_last: bool = False
    """The convolution's input lies in memory with its channels side by side."""

    @property
    def is_convolution(self) -> bool:
        """Otherwise it is a matrix product."""
        return "convolution" in self.name

    @property
    def layer(self) -> str:
        """What a forward call and those that differentiate it have in common.

        The gradients of a product of M×K by K×N are products of the same three sizes in another order.
        """
        if self.is_convolution:
            settings = (self.stride, self.padding, self.dilation, self.output_padding, self.transposed, self.groups)
            return f"{self.dtype} {self.left} {self.right} {settings}"
        batch = self.left[:-2]
        return f"{self.dtype} {batch} {sorted((*self.left[-2:], self.right[-1]))}"

    @property
    def flops(self) -> int:
        """Multiplications and additions of one call."""
        if not self.is_convolution:
            return 2 * math.prod(self.left) * self.right[-1]
        places = self.left[2:] if self.transposed else self._output_places()
        return 2 * self.left[0] * math.prod(places) * math.prod(self.right) * self.products

    def _output_places(self) -> list[int]:
        count = len(self.left) - 2
        stride, padding, dilation = (_each(s, count) for s in (self.stride, self.padding, self.dilation))
        return [
            max(0, (size + 2 * pad - step * (width - 1) - 1) // jump + 1)
            for size, width, jump, pad, step in zip(
                self.left[2:], self.right[2:], stride, padding, dilation, strict=True
            )
        ]


class Kernels(RecordBase, tag="kernels"):
    """Matrix products and convolutions of the annotated step: the distinct ones, and which each was, in order."""

    distinct: list[Kernel]
    order: list[int]


def _each(values: list[int], count: int) -> list[int]:
    """One value a dimension; a single one is for all."""
    return values if len(values) == count else [values[0] if values else 0] * count

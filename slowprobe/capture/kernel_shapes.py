"""The matrix products and convolutions of an annotated profiler window, with the shapes that decide their cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from slowprobe.run.kernels import Kernel, Kernels

# Where the two factors are among the arguments.
PRODUCTS = {
    "aten::mm": (0, 1),
    "aten::addmm": (1, 2),
    "aten::bmm": (0, 1),
    "aten::baddbmm": (1, 2),
    "aten::_addmm_activation": (1, 2),
}
# Where input and weight are, and the first of stride, padding, dilation, transposed, output_padding, groups.
CONVOLUTIONS = {"aten::convolution": (0, 1, 3), "aten::convolution_backward": (1, 2, 4)}
_MASK = 10  # of convolution_backward: which gradients are wanted


class KernelTimes:
    """The distinct kernels of a window, which each call was, and what they took there."""

    def __init__(self, events: Iterable[Any]) -> None:
        """events: of `kineto_results.events()`, recorded with shapes."""
        mine = [event for event in events if event.name() in PRODUCTS or event.name() in CONVOLUTIONS]
        mine.sort(key=lambda event: event.start_ns())
        self.order: list[int] = []
        self.spent_ns: list[int] = []
        """By distinct kernel, as profiled."""
        numbers: dict[str, int] = {}
        self.distinct: list[Kernel] = []
        until: dict[int, int] = {}
        for event in mine:
            thread, start = event.start_thread_id(), event.start_ns()
            if start < until.get(thread, 0):
                continue  # inside another: a convolution that is computed as a product
            until[thread] = start + event.duration_ns()
            kernel = _kernel(event)
            number = numbers.setdefault(repr(kernel), len(self.distinct))
            if number == len(self.distinct):
                self.distinct.append(kernel)
                self.spent_ns.append(0)
            self.order.append(number)
            self.spent_ns[number] += event.duration_ns()

    @property
    def record(self) -> Kernels:
        """As the journal holds it."""
        return Kernels(distinct=self.distinct, order=self.order)


def _kernel(event: Any) -> Kernel:
    name, shapes = event.name(), event.shapes()
    if name in PRODUCTS:
        left, right = PRODUCTS[name]
        return Kernel(name, list(shapes[left]), list(shapes[right]), event.dtypes()[left])
    image, weight, first = CONVOLUTIONS[name]
    concrete = event.concrete_inputs()
    stride, padding, dilation, transposed, output_padding, groups = concrete[first : first + 6]
    mask = concrete[_MASK] if name == "aten::convolution_backward" else ()
    return Kernel(
        name,
        list(shapes[image]),
        list(shapes[weight]),
        event.dtypes()[image],
        list(stride or ()),
        list(padding or ()),
        list(dilation or ()),
        list(output_padding or ()),
        bool(transposed),
        int(groups or 1),
        max(1, sum(map(bool, mask[:2]))) if mask else 1,
        _channels_last(shapes[image], event.structured_input_strides()[image]),
    )


def _channels_last(shape: Sequence[int], strides: Any) -> bool:
    """Whether channels lie side by side; an image of one channel or one pixel lies both ways."""
    if len(shape) != 4 or not isinstance(strides, list) or len(strides) != 4:
        return False
    return shape[1] > 1 and strides[1] == 1 and strides[3] == shape[1]

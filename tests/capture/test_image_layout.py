"""What lies between the convolutions of a step, in channels_last."""

from __future__ import annotations

from math import prod

from capture.test_operator_trials import operator as made
from slowprobe.capture.image_layout import images_of
from slowprobe.capture.operator_trials import try_operators

BY_PIXEL = [8192, 1, 256, 8]


def operator(name, sizes, strides=None, spent_ms=1.0):
    rows = [[prod(size[at + 1 :]) for at in range(len(size))] for size in sizes]
    return made(name, sizes, strides=strides or rows, spent_ms=spent_ms)


CONVOLUTION = operator("aten::convolution", [[16, 3, 32, 32], [8, 3, 3, 3]], spent_ms=6.0)
RELU = operator("aten::relu", [[16, 8, 32, 32]])
POOL_BACKWARD = operator("aten::_adaptive_avg_pool2d_backward", [[16, 8, 4, 4], [16, 8, 32, 32]])


def test_images_are_what_convolutions_read_and_make() -> None:
    images = images_of([CONVOLUTION, RELU])
    assert images.kinds == {(16, 3), (16, 8)} and images.convolved_ns == 6_000_000
    turned = images.turned(RELU)
    assert turned is not None and turned.strides == (BY_PIXEL,)
    heads = operator("aten::_softmax", [[16, 4, 32, 32]])
    assert images.turned(heads) is None, "four dimensions, and no convolution has four channels"
    assert images.turned(CONVOLUTION) is None and images.turned(turned) is None


def test_a_convolutions_backward_tells_the_same_images() -> None:
    backward = operator("aten::convolution_backward", [[16, 8, 32, 32], [16, 3, 32, 32], [8, 3, 3, 3]])
    assert images_of([backward]).kinds == {(16, 3), (16, 8)}


def test_images_by_pixel_already_are_no_reason_to_try() -> None:
    strides = [[3072, 1, 96, 3], [27, 1, 9, 3]]
    assert images_of([operator("aten::conv2d", [[16, 3, 32, 32], [8, 3, 3, 3]], strides=strides)]).convolved_ns == 0


def test_the_gradient_of_images_that_were_made_flat_comes_back_in_that_order() -> None:
    linear = operator("aten::addmm", [[10], [16, 128], [128, 10]])
    turned = images_of([CONVOLUTION, linear]).turned(POOL_BACKWARD)
    assert turned is not None and [list(each) for each in turned.strides] == [[128, 16, 4, 1], BY_PIXEL]
    turned = images_of([CONVOLUTION]).turned(POOL_BACKWARD)
    assert turned is not None and list(turned.strides[0]) == [128, 1, 32, 8]


def test_what_lies_between_is_tried_in_both_layouts() -> None:
    values = try_operators([CONVOLUTION, RELU], 1, 1, [], 0.5)
    assert values["operators.turned.now_ms"] > 0 and values["operators.turned.edited_ms"] > 0
    assert values["operators.turned.beside_ms"] == 6.0 and values["operators.turned.all_ms"] < 6.0

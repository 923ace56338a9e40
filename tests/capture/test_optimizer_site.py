"""The line that makes an optimizer, also where its class is the user's own."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from slowprobe.capture.probes.optimizer import _maker

SEEN: list[FrameType | None] = []


class Base:
    def __init__(self) -> None:
        SEEN.append(_maker(sys._getframe(0), self))


class Own(Base):
    def __init__(self, lr: float) -> None:
        self.lr = lr
        super().__init__()


class Trainer:
    def __init__(self) -> None:
        self.optimizer = Own(0.1)


def _made_by(make: Any) -> str:
    SEEN.clear()
    make()
    assert SEEN[0] is not None
    return SEEN[0].f_code.co_qualname


def test_constructors_of_its_own_classes_are_stepped_over() -> None:
    def build() -> Own:
        return Own(0.1)

    assert _made_by(build).endswith("build")


def test_the_constructor_of_another_object_is_where_it_is_made() -> None:
    assert _made_by(Trainer) == "Trainer.__init__"

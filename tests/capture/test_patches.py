"""Replacing attributes and putting every one of them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowprobe.capture.patches import Patches


class Base:
    def run(self) -> str:
        return "base"

    @staticmethod
    def static() -> str:
        return "static"


class Derived(Base):
    pass


def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: f"<{original(*args)}>"


def test_own_attribute_is_the_original_object_again() -> None:
    original = vars(Base)["run"]
    patches = Patches()
    patches.replace(Base, "run", wrap)
    assert Base().run() == "<base>"
    patches.undo()
    assert vars(Base)["run"] is original


def test_inherited_attribute_is_taken_out_again() -> None:
    patches = Patches()
    patches.replace(Derived, "run", wrap)
    assert Derived().run() == "<base>" and Base().run() == "base"
    patches.undo()
    assert "run" not in vars(Derived)


def test_static_method_stays_one() -> None:
    original = vars(Base)["static"]
    patches = Patches()
    patches.replace(Base, "static", lambda function: staticmethod(wrap(function)))
    assert Base().static() == "<static>"
    patches.undo()
    assert vars(Base)["static"] is original and Base().static() == "static"


def test_two_wrappers_come_off_in_order() -> None:
    original = vars(Base)["run"]
    patches = Patches()
    patches.replace(Base, "run", wrap)
    patches.replace(Base, "run", wrap)
    assert Base().run() == "<<base>>"
    patches.undo_last(Base, "run")
    assert Base().run() == "<base>"
    patches.undo()
    assert vars(Base)["run"] is original


def test_what_somebody_else_replaced_is_left_to_them() -> None:
    original = vars(Base)["run"]
    patches = Patches()
    patches.replace(Base, "run", wrap)

    def theirs(self: Base) -> str:
        return "theirs"

    Base.run = theirs  # type: ignore[method-assign]
    try:
        patches.undo()
        assert vars(Base)["run"] is theirs
    finally:
        Base.run = original  # type: ignore[method-assign]

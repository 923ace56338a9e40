"""Replaces attributes and puts every one of them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_ABSENT = object()


class Patches:
    """A list of replaced attributes; `undo` restores the original objects in reverse order.

    An attribute that the owner only inherited is deleted again, not set; one that somebody else has replaced since
    is left to them, for their wrapper may still call ours (which then does nothing but pass the call on).
    """

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Set ``owner.name`` to ``make(original)``."""
        own = vars(owner).get(name, _ABSENT)
        wrapper = make(getattr(owner, name))
        setattr(owner, name, wrapper)
        self._done.append((owner, name, own, wrapper))

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Set ``owner.name``, which the owner need not have had."""
        self._done.append((owner, name, vars(owner).get(name, _ABSENT), value))
        setattr(owner, name, value)

    def undo_last(self, owner: Any, name: str) -> None:
        """Put back one attribute now."""
        for index in range(len(self._done) - 1, -1, -1):
            if self._done[index][0] is owner and self._done[index][1] == name:
                self._restore(*self._done.pop(index))
                return

    def undo(self) -> None:
        """Put everything back."""
        while self._done:
            self._restore(*self._done.pop())

    @staticmethod
    def _restore(owner: Any, name: str, own: Any, wrapper: Any) -> None:
        if vars(owner).get(name) is not wrapper:
            return
        if own is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, own)

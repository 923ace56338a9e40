"""A table keyed by objects themselves: a user's class may define equality, and no hash, as it likes."""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class ByIdentity(Generic[V]):
    """Values for objects as long as these live."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], V]] = {}

    def get(self, key: Any) -> V | None:
        """The value of `key`; None where there is none."""
        entry = self._entries.get(id(key))
        return entry[1] if entry is not None and entry[0]() is key else None

    def set(self, key: Any, value: V) -> None:
        """Keep `value` for `key`."""
        number, entries = id(key), self._entries
        entries[number] = (weakref.ref(key, lambda _: entries.pop(number, None)), value)

    def keys(self) -> list[Any]:
        """The objects that still live."""
        return [key for reference, _ in list(self._entries.values()) if (key := reference()) is not None]

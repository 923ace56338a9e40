"""Columns that grow list by list: whole numbers in as little memory as they need, words as numbers."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from slowprobe.trace.events import MISSING, Number

Ints = npt.NDArray[np.int64]

_INT32 = np.iinfo(np.int32)
_MOST_US = 9e15  # as ns, just below what 64 bits hold


class Column:
    """Whole numbers; of 4 bytes each while that is enough, and of none while all are `MISSING`."""

    def __init__(self, *, wide: bool = False) -> None:
        self._values: array[int] = array("q" if wide else "i")
        self._missing = 0
        """Rows so far, while no row has a value."""

    def extend(self, values: Ints) -> None:
        """Appends rows."""
        if not self._values and bool((values == MISSING).all()):
            self._missing += len(values)
            return
        if self._missing:
            self._values = array(self._values.typecode, [MISSING]) * self._missing
            self._missing = 0
        if self._values.typecode == "i":
            if values.max() <= _INT32.max and values.min() >= _INT32.min:
                self._values.frombytes(values.astype(np.int32).tobytes())
                return
            self._values = array("q", np.frombuffer(self._values, dtype=np.int32).astype(np.int64).tobytes())
        self._values.frombytes(values.astype(np.int64, copy=False).tobytes())

    @property
    def values(self) -> Ints:
        """All rows as they came."""
        if not self._values:
            return np.broadcast_to(np.int64(MISSING), self._missing)
        values: Any = np.frombuffer(self._values, dtype=np.int32 if self._values.typecode == "i" else np.int64)
        return values  # type: ignore[no-any-return]

    def take(self, order: Ints | None) -> Ints:
        """All rows in this order, or as they came; the column lets go of them."""
        values = self.values
        if not self._values or order is None:
            return values
        self._values = array("i")
        return values[order]


class Numbered(dict[Any, int]):
    """Numbers keys from 0 in order of arrival."""

    def __missing__(self, key: object) -> int:
        self[key] = number = len(self)
        return number

    def numbers(self, keys: Iterable[object], count: int) -> Ints:
        """The numbers of keys, new ones added."""
        return np.fromiter(map(self.__getitem__, keys), dtype=np.int64, count=count)


class Renamed(Numbered):
    """Numbers keys by what they are renamed to."""

    def __init__(self, rename: Callable[[Any], Any]) -> None:
        super().__init__()
        self._rename = rename
        self.renamed = Numbered()

    def __missing__(self, key: object) -> int:
        self[key] = number = self.renamed[self._rename(key)]
        return number


class Places(Numbered):
    """Numbers for process and thread ids: their own where they are numbers, from -2 downward for words."""

    def __init__(self) -> None:
        super().__init__()
        self._words = 0

    def __missing__(self, key: object) -> int:
        number = as_id(key) if isinstance(key, int | str | None) else MISSING
        if number == MISSING and isinstance(key, str) and key.strip() != str(MISSING):
            number = -2 - self._words
            self._words += 1
        self[key] = number
        return number

    def renumbered(self, values: Ints, others: Places) -> Ints:
        """Numbers of `others` as those that the same words have here."""
        words = {number: self[key] for key, number in others.items() if number < MISSING and isinstance(key, str)}
        changed = {number: own for number, own in words.items() if number != own}
        if not changed:
            return values
        renumbered = values.astype(np.int64)
        for number, own in changed.items():
            renumbered[values == number] = own
        return renumbered

    def numbers(self, keys: Iterable[object], count: int) -> Ints:
        """The numbers of keys, new ones added."""
        listed = list(keys)
        try:
            return np.fromiter(listed, dtype=np.int64, count=count)
        except (TypeError, ValueError, OverflowError):  # words among them
            return super().numbers(listed, count)


def as_id(value: Number) -> int:
    """A whole number, however it is written; `MISSING` where there is none."""
    if value is None:
        return MISSING
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return MISSING
    return number if -(1 << 63) <= number < 1 << 63 else MISSING  # torch writes "none" as the largest unsigned number


def as_ids(values: Iterable[Number], count: int) -> Ints:
    """Ids as numbers."""
    listed = list(values)
    if listed.count(MISSING) == count:
        return np.full(count, MISSING)
    try:
        return np.fromiter(listed, dtype=np.int64, count=count)
    except (TypeError, ValueError, OverflowError):
        return np.fromiter(map(as_id, listed), dtype=np.int64, count=count)


def as_ns(times_us: list[Any]) -> Ints:
    """Microseconds as whole nanoseconds, with every digit the trace has; times beyond 285 years become 0."""
    if times_us and isinstance(times_us[0], Decimal):
        return np.array([_exact_ns(time) for time in times_us], dtype=np.int64)
    us = np.array(times_us, dtype=np.float64)
    us[~(np.abs(us) < _MOST_US)] = 0
    whole = np.floor(us)
    return whole.astype(np.int64) * 1000 + np.rint((us - whole) * 1000).astype(np.int64)


def _exact_ns(time_us: Decimal) -> int:
    return int((time_us * 1000).to_integral_value()) if abs(time_us) < _MOST_US else 0

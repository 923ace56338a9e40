"""The brackets of a JSON text that stand outside its strings: where events really end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_Positions = npt.NDArray[np.int64]
_Codes = npt.NDArray[np.uint8]

_WINDOW_BYTES = 1 << 20
_QUOTE, _BACKSLASH, _BRACE, _BRACKET = b'"\\}]'
_STEP = np.zeros(256, dtype=np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


class Cut(NamedTuple):
    """Where the events of a text end that starts with one."""

    end: int
    """After the last whole event; 0 where there is none."""
    closed: int | None
    """Position of the bracket that closes the list of events."""


def exact_cut(text: bytes) -> Cut:
    """Where a text like ``{…}, {…}, …`` can be cut; right for sound JSON only."""
    end = 0
    for at, code, depth in _brackets(text):
        closing = np.flatnonzero(depth < 0)
        limit = int(closing[0]) if len(closing) else len(at)
        ends = np.flatnonzero((depth[:limit] == 0) & (code[:limit] == _BRACE))
        if len(ends):
            end = int(at[ends[-1]]) + 1
        if len(closing):
            return Cut(end, int(at[limit]) if code[limit] == _BRACKET else None)
    return Cut(end, None)


def object_end(text: bytes) -> int | None:
    """After the object that a text starts with; None where it does not end."""
    for at, _, depth in _brackets(text):
        ends = np.flatnonzero(depth <= 0)
        if len(ends):
            return int(at[ends[0]]) + 1
    return None


def _brackets(text: bytes) -> Iterator[tuple[_Positions, _Codes, _Positions]]:
    """Position, code and depth (after it) of each bracket outside strings, window by window."""
    in_string, escaped, above = False, False, 0
    for begin in range(0, len(text), _WINDOW_BYTES):
        codes = np.frombuffer(text, dtype=np.uint8, count=min(_WINDOW_BYTES, len(text) - begin), offset=begin)
        quotes, escaped = _quotes(codes, escaped)
        at = np.flatnonzero(_STEP[codes])
        at = at[(np.searchsorted(quotes, at) + in_string) % 2 == 0]
        depth = above + np.cumsum(_STEP[codes[at]], dtype=np.int64)
        yield at + begin, codes[at], depth
        above = int(depth[-1]) if len(depth) else above
        in_string ^= len(quotes) % 2 == 1


def _quotes(codes: _Codes, escaped: bool) -> tuple[_Positions, bool]:
    """Positions of the quotes that open or close a string, and whether the next window's first character is escaped."""
    quotes = np.flatnonzero(codes == _QUOTE)
    slashes = np.flatnonzero(codes == _BACKSLASH)
    taken = np.zeros(1 if escaped else 0, dtype=np.int64)  # positions of escaped characters: here, the first
    if len(slashes):
        number = np.arange(len(slashes))
        first = np.concatenate(([True], np.diff(slashes) != 1))  # of a run of backslashes
        place = number - np.maximum.accumulate(np.where(first, number, 0))
        if escaped and slashes[0] == 0:
            place[: len(place) if first.sum() == 1 else int(np.flatnonzero(first)[1])] += 1
        taken = np.concatenate((taken, slashes[place % 2 == 0] + 1))
    return quotes[~np.isin(quotes, taken)], bool(len(taken) and taken[-1] == len(codes))

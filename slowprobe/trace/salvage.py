"""Events of a damaged text, one by one: what can be read, and how much cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from slowprobe.trace.decode import EventDecoder
from slowprobe.trace.structure import object_end

BOUNDARY = re.compile(rb"\}\s*,\s*\{")
"""Between two events, as it seems: strings and lists inside an event may hold the same characters."""
SEPARATORS = b" \t\r\n,"

_PROBED = 8
_REACH_BYTES = 1 << 14  # an event that seems to end too early is looked for within so much text


@dataclass(slots=True)
class Salvaged:
    """What a damaged text gave."""

    texts: list[bytes]
    """The events that can be read."""
    lost: int
    lost_bytes: int
    end: int
    """How far the text was used up."""
    closed: bool
    """The list of events ends there."""


def is_damaged(text: bytes, decoder: EventDecoder) -> bool:
    """Whether a text that cannot be cut exactly holds whole events further on; if not, its first one is just long."""
    starts = [match.end() - 1 for match in BOUNDARY.finditer(text)][-_PROBED - 1 :]
    pieces = (text[start : text.rindex(b"}", start, end) + 1] for start, end in pairwise(starts))
    return any(decoder.one(piece) is not None for piece in pieces)


def salvage(text: bytes, decoder: EventDecoder, *, last: bool) -> Salvaged:
    """Reads events one by one, up to the last boundary or, where nothing follows the text, to its end."""
    found = Salvaged([], 0, 0, 0, False)
    boundaries = [(match.start() + 1, match.end() - 1) for match in BOUNDARY.finditer(text)]
    if last:
        boundaries.append((len(text), len(text)))
    number = 0
    while number < len(boundaries) and not found.closed:
        seeming_end, next_start = boundaries[number]
        end = _whole(text, found.end, seeming_end, decoder)
        if end is None and not last and _unfinished(text, found.end):
            break
        if end is None:
            found.lost += 1
            found.lost_bytes += seeming_end - found.end
            found.end = next_start
        else:
            found.texts.append(text[found.end : end])
            found.end = _skip(text, end)
            found.closed = text[found.end : found.end + 1] == b"]"
        while number < len(boundaries) and boundaries[number][1] <= found.end:
            number += 1
    return found


def _whole(text: bytes, start: int, seeming_end: int, decoder: EventDecoder) -> int | None:
    """Where the event ends that begins at ``start``; None where none does."""
    if decoder.one(text[start:seeming_end]) is not None:
        return seeming_end
    size = object_end(text[start : max(seeming_end, start + _REACH_BYTES)])
    if size is None or decoder.one(text[start : start + size]) is None:
        return None
    return start + size


def _unfinished(text: bytes, start: int) -> bool:
    """Whether an event may just need the text that comes next."""
    return len(text) - start < _REACH_BYTES and object_end(text[start:]) is None


def _skip(text: bytes, position: int) -> int:
    rest = text[position : position + _REACH_BYTES]
    return position + len(rest) - len(rest.lstrip(SEPARATORS))

"""The events of a trace text, list by list while it arrives, and the text around them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from slowprobe.errors import TraceError
from slowprobe.trace.decode import UNSOUND, EventDecoder
from slowprobe.trace.salvage import BOUNDARY, SEPARATORS, Salvaged, is_damaged, salvage
from slowprobe.trace.structure import exact_cut

_EVENTS_KEY = re.compile(rb'"traceEvents"\s*:\s*\[')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LIMIT_BYTES = 64 << 20  # of one event, and of what is around the events: real ones stay far below a MiB
_TAIL_BYTES = 1 << 16
_MOST_OPENINGS = 100


class _Anything(msgspec.Struct):
    """Any object."""


class EventLists:
    """Iterates over lists of events, each from about one block of text; what surrounds them is there afterwards.

    A list is cut where an event seems to end. A cut inside a string or a nested list never decodes, because what is
    left of it does not close; then the exact cut is taken, and if that does not decode either, the text is damaged.
    """

    def __init__(self, blocks: Iterator[bytes], name: str) -> None:
        self._blocks = blocks
        self._name = name
        self._decoder = EventDecoder()
        self._tried_bytes = 0
        self.before = b""
        """The text up to the list of events and its bracket."""
        self.after: bytes | None = None
        """The text after the list's closing bracket; None where it has none."""
        self.lost = 0
        self.lost_bytes = 0
        self.reason = ""
        """Why events were lost."""
        self.ends_early = False

    @property
    def is_list(self) -> bool:
        """The text has no header: it is nothing but a list of events."""
        return self.before == b"["

    def __iter__(self) -> Iterator[list[Any]]:
        rest, closed = self._open(), False
        for block in chain((b"",), self._blocks):
            text = (rest + block).lstrip(SEPARATORS)
            if len(text) > _LIMIT_BYTES:
                raise TraceError(f"{self._name}: not a trace (an event of more than {_LIMIT_BYTES >> 20} MiB)")
            events, rest, closed = self._take(text)
            if events:
                yield events
            if closed:
                break
        if not closed:
            events, rest, closed = self._take_last(rest)
            if events:
                yield events
        if closed:
            self._close(rest)

    def _open(self) -> bytes:
        """Reads up to the list of events; returns the text after its bracket."""
        text, searched = b"", 0
        for block in self._blocks:
            text = (text + block).removeprefix(_BYTE_ORDER_MARK).lstrip()
            if text[:1] == b"[":
                self.before = b"["
                return text[1:]
            if text and text[:1] != b"{":
                raise TraceError(f"{self._name}: not a trace (expected the JSON that torch.profiler exports)")
            for number, match in enumerate(_EVENTS_KEY.finditer(text, searched)):
                if number < _MOST_OPENINGS and _is_top_level(text[: match.end()]):
                    self.before = text[: match.end()]
                    return text[match.end() :]
            if len(text) > _LIMIT_BYTES:
                break
            searched = max(0, len(text) - _TAIL_BYTES)
        raise TraceError(f'{self._name}: not a trace (the JSON has no list of "traceEvents")')

    def _take(self, text: bytes) -> tuple[list[Any], bytes, bool]:
        """The events that are whole, the text after them, and whether the list ends there."""
        if len(text) < 2 * self._tried_bytes:
            return [], text, False  # a long event: looked at again when twice as much is there
        guess = _last_boundary(text)
        if guess is not None:
            events = self._decoder.events(text[: guess[0]])
            if events is not None:
                self._tried_bytes = 0
                return events, text[guess[1] :], False
        events, end, closed = self._exactly(text)
        if events or closed:
            self._tried_bytes = 0
            return events or [], text[end:], closed
        if guess is not None and is_damaged(text, self._decoder):
            found = salvage(text, self._decoder, last=False)
            if found.end:
                self._tried_bytes = 0
                return self._salvaged(text, found)
        self._tried_bytes = len(text)
        return [], text, False

    def _take_last(self, text: bytes) -> tuple[list[Any], bytes, bool]:
        """The same of a text after which nothing comes."""
        events, end, closed = self._exactly(text)
        if closed:
            return events or [], text[end:], True
        rest = text[end:].strip(SEPARATORS)
        if events is None or BOUNDARY.search(rest):
            more, rest, closed = self._salvaged(rest, salvage(rest, self._decoder, last=True))
            if closed:
                return (events or []) + more, rest, True
            events = (events or []) + more
        elif rest:
            self.lost += 1
            self.lost_bytes += len(rest)
        self.ends_early = self.lost > 0 or not self.is_list  # the bracket that closes a plain list may be left out
        return events, b"", False

    def _exactly(self, text: bytes) -> tuple[list[Any] | None, int, bool]:
        """The events up to the exact cut (None: unsound), the text used up, and whether the list ends there."""
        cut = exact_cut(text)
        events = self._decoder.events(text[: cut.end])
        if events is None:
            return None, 0, False
        if cut.closed is None:
            return events, cut.end, False
        if text[cut.end : cut.closed].strip(SEPARATORS) or (events and not events[-1].ph):
            return None, 0, False  # a list inside an event: what came before it is damaged
        return events, cut.closed + 1, True

    def _salvaged(self, text: bytes, found: Salvaged) -> tuple[list[Any], bytes, bool]:
        error = self._decoder.error.rstrip(".")
        self.reason = self.reason or ("an event does not end" if "truncated" in error else error)
        self.lost += found.lost
        self.lost_bytes += found.lost_bytes
        events = self._decoder.events(b",".join(found.texts)) or []
        return events, text[found.end + found.closed :], found.closed

    def _close(self, rest: bytes) -> None:
        parts, size = [rest], len(rest)
        for block in self._blocks:
            parts.append(block)
            size += len(block)
            if size > _LIMIT_BYTES:
                return
        self.after = b"".join(parts)


def _last_boundary(text: bytes) -> tuple[int, int] | None:
    """Where the last event but one seems to end, and the last one to start."""
    for start in (max(0, len(text) - _TAIL_BYTES), 0):
        matches = list(BOUNDARY.finditer(text, start))
        if matches:
            return matches[-1].start() + 1, matches[-1].end() - 1
    return None


def _is_top_level(opening: bytes) -> bool:
    """Whether a list that opens at the end of this text is a value of the outermost object."""
    try:
        msgspec.json.decode(opening + b"]}", type=_Anything)
    except UNSOUND:
        return False
    return True

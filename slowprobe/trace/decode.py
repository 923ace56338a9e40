"""Pieces of trace text decoded to event structs, with every digit of their times."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec

from slowprobe.trace.events import Event, ExactEvent, Header

UNSOUND = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a damaged, wrongly cut or endlessly nested text raises."""

_EXACT_US = 2**53 / 1000
"""Above this many µs (104 days) a float64 no longer tells nanoseconds apart."""
_START = attrgetter("ts")


class EventDecoder:
    """Decodes lists of events; what one list needs (more digits, numbers written as text), all later ones get, too."""

    def __init__(self) -> None:
        self._event: type[Event] = Event
        self._strict = True
        self._decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[Event])
        self._single = msgspec.json.Decoder(Event, strict=False)
        self.error = ""
        """Why the last text was refused."""

    def events(self, text: bytes) -> list[Any] | None:
        """The events of a text like ``{…}, {…}``; None where it is not a whole number of them."""
        data = b"[%b]" % text
        try:
            events = self._decode(data)
            if self._event is Event and _loses_digits(events):
                events = self._prepare(ExactEvent, self._strict).decode(data)
        except UNSOUND as error:
            self.error = str(error)
            return None
        return events

    def one(self, text: bytes) -> Event | None:
        """The event that a text consists of; None where it is none, or has no phase (so is a part of another event)."""
        try:
            event = self._single.decode(text)
        except UNSOUND:
            return None
        return event if event.ph else None

    def _decode(self, data: bytes) -> list[Any]:
        try:
            return self._decoder.decode(data)
        except msgspec.ValidationError:
            if not self._strict:
                raise
            return self._prepare(self._event, strict=False).decode(data)

    def _prepare(self, event: type[Event], strict: bool) -> msgspec.json.Decoder[list[Any]]:
        self._event, self._strict = event, strict
        self._decoder = msgspec.json.Decoder(list[event], strict=strict)  # type: ignore[valid-type]
        return self._decoder


def _loses_digits(events: list[Event]) -> bool:
    if max(map(_START, events), default=0) <= _EXACT_US:
        return False
    starts = list(map(_START, events))
    return float in set(map(type, starts)) and any(type(ts) is float and ts > _EXACT_US for ts in starts)


def decode_header(before: bytes, after: bytes | None) -> tuple[Header, str | None]:
    """The header from the text around the events (`after` None: it is not there), and what could not be read of it."""
    fault = None
    if after is not None:
        try:
            return msgspec.json.decode(before + b"]" + after, type=Header, strict=False), None
        except UNSOUND as error:
            fault = f"what follows the events cannot be read ({error})"
    try:
        return msgspec.json.decode(before + b"]}", type=Header, strict=False), fault
    except UNSOUND as error:
        return Header(), f"the header cannot be read ({error})"

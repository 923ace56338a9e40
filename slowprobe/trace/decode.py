"""Trace text decoded to event structs: fast when the text is sound, as much as possible when it is not."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import msgspec

from slowprobe.errors import TraceError

Number = int | float | str | None

_BOUNDARY = re.compile(rb"\}\s*,\s*\{")
_EVENTS_KEY = re.compile(rb'"traceEvents"\s*:\s*\[')
_EXACT_US = 2**53 / 1000
"""Above this many µs (104 days) a float64 no longer tells nanoseconds apart."""


class Args(msgspec.Struct, gc=False):
    """The arguments of an event that slowprobe uses."""

    external_id: Number = msgspec.field(default=None, name="External id")
    external_id_2021: Number = msgspec.field(default=None, name="external id")
    sequence: Number = msgspec.field(default=None, name="Sequence number")
    forward_thread: Number = msgspec.field(default=None, name="Fwd thread id")
    correlation: Number = None
    stream: Number = None
    device: Number = None
    size_bytes: Number = msgspec.field(default=None, name="bytes")
    python_id: Number = msgspec.field(default=None, name="Python id")
    python_parent: Number = msgspec.field(default=None, name="Python parent id")
    input_dims: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Input Dims")
    input_dims_2021: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Input dims")
    name: Any = None
    labels: Any = None
    collective: Any = msgspec.field(default=None, name="Collective name")
    dtype: Any = None
    group: Any = msgspec.field(default=None, name="Process Group Name")
    group_size: Number = msgspec.field(default=None, name="Group size")
    elements_in: Number = msgspec.field(default=None, name="In msg nelems")
    elements_out: Number = msgspec.field(default=None, name="Out msg nelems")
    sync_stream: Number = msgspec.field(default=None, name="wait_on_stream")
    sync_event: Number = msgspec.field(default=None, name="wait_on_cuda_event_record_corr_id")
    memory_bytes: Number = msgspec.field(default=None, name="Bytes")
    allocated_bytes: Number = msgspec.field(default=None, name="Total Allocated")
    reserved_bytes: Number = msgspec.field(default=None, name="Total Reserved")
    memory_device: Number = msgspec.field(default=None, name="Device Id")
    memory_device_type: Number = msgspec.field(default=None, name="Device Type")


class Event(msgspec.Struct, gc=False):
    """One entry of `traceEvents`."""

    ph: str = ""
    name: str = ""
    cat: str | None = None
    ts: int | float = 0
    dur: int | float | None = None
    pid: int | str | None = None
    tid: int | str | None = None
    args: Args | None = None


class ExactEvent(Event, gc=False):
    """An event whose start has more digits than a float holds."""

    ts: Decimal = Decimal(0)  # type: ignore[assignment]


class Header(msgspec.Struct, rename="camel"):
    """What a trace says about itself."""

    schema_version: Any = None
    base_time_nanoseconds: int = 0
    distributed_info: Any = None
    device_properties: Any = None
    trace_name: Any = None
    record_shapes: Any = msgspec.field(default=None, name="record_shapes")
    with_stack: Any = msgspec.field(default=None, name="with_stack")


class _Document(Header):
    trace_events: list[Event] | None = None


class _ExactDocument(Header):
    trace_events: list[ExactEvent] | None = None


def decode(data: bytes, name: str) -> tuple[Header, list[Event], list[str]]:
    """Header, events and warnings of a trace text; `TraceError` when it is none."""
    if data.lstrip()[:1] not in (b"{", b"["):
        raise TraceError(f"{name}: not a trace (expected the JSON that torch.profiler exports)")
    as_list = data.lstrip()[:1] == b"["
    warnings: list[str] = []
    events: list[Event] | None
    with _without_gc():
        try:
            header, events = _decode_whole(data, as_list, exact=False)
            if _loses_digits(events):
                header, events = _decode_whole(data, as_list, exact=True)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            header, events, warnings = _salvage(data, as_list, name, error)
    if events is None:
        raise TraceError(f'{name}: not a trace (the JSON has no "traceEvents")')
    if not events:
        raise TraceError(f"{name}: the trace holds no events")
    return header, events, warnings


@contextmanager
def _without_gc() -> Iterator[None]:
    """Structs hold no cycles: with the collector on, it would walk all of them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _decode_whole(data: bytes, as_list: bool, exact: bool) -> tuple[Header, list[Any] | None]:
    if as_list:
        items: list[Any] = msgspec.json.decode(data, type=list[ExactEvent] if exact else list[Event])
        return Header(), items
    if exact:
        exact_document = msgspec.json.decode(data, type=_ExactDocument)
        return exact_document, exact_document.trace_events
    document = msgspec.json.decode(data, type=_Document)
    return document, document.trace_events


def _loses_digits(events: list[Event] | None) -> bool:
    return any(type(e.ts) is float and e.ts > _EXACT_US for e in events or ())


def _salvage(data: bytes, as_list: bool, name: str, error: Exception) -> tuple[Header, list[Event], list[str]]:
    """Event by event, leaving out what cannot be read."""
    opening = None if as_list else _EVENTS_KEY.search(data)
    if not as_list and opening is None:
        raise TraceError(f"{name}: not a trace ({error})") from error
    start = opening.end() if opening else data.index(b"[") + 1
    pieces = _BOUNDARY.split(data[start:])
    events: list[Event] = []
    lost_bytes = lost = 0
    decoder = msgspec.json.Decoder(Event, strict=False)
    for number, piece in enumerate(pieces):
        first, last = number == 0, number == len(pieces) - 1
        text = (b"" if first else b"{") + piece + (b"" if last else b"}")
        event = _last_event(text, decoder) if last else _event(text, decoder)
        if event is None:
            lost += 1
            lost_bytes += len(text)
        else:
            events.append(event)
    if not events:
        raise TraceError(f"{name}: no event of this trace can be read ({error})") from error
    share = lost_bytes / len(data)
    how = "it ends early" if "truncated" in str(error) else str(error).rstrip(".")
    warning = f"{name}: damaged trace ({how}); {len(events)} events read, {lost} lost ({lost_bytes} bytes, {share:.1%})"
    return _header_before(data[:start], as_list), events, [warning]


def _event(text: bytes, decoder: msgspec.json.Decoder[Event]) -> Event | None:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _last_event(text: bytes, decoder: msgspec.json.Decoder[Event]) -> Event | None:
    """The event at the start of a text that may go on with the end of the document."""
    end = len(text)
    for _ in range(8):  # an event closes at most a few braces, and so does the document
        end = text.rfind(b"}", 0, end)
        if end < 0:
            return None
        if event := _event(text[: end + 1], decoder):
            return event
    return None


def _header_before(prefix: bytes, as_list: bool) -> Header:
    if as_list:
        return Header()
    try:
        return msgspec.json.decode(prefix + b"]}", type=Header)
    except msgspec.DecodeError:
        return Header()

"""What slowprobe reads of a trace: the fields of an event, of its arguments and of the document around them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

Number = int | float | str | None
MISSING = -1
"""In a column of ids: the event has none."""


class Args(msgspec.Struct, gc=False):
    """The arguments of an event that slowprobe uses."""

    external_id: Number = msgspec.field(default=MISSING, name="External id")
    external_id_2021: Number = msgspec.field(default=MISSING, name="external id")
    sequence: Number = msgspec.field(default=MISSING, name="Sequence number")
    forward_thread: Number = msgspec.field(default=MISSING, name="Fwd thread id")
    correlation: Number = MISSING
    stream: Number = MISSING
    device: Number = MISSING
    size_bytes: Number = msgspec.field(default=MISSING, name="bytes")
    python_id: Number = msgspec.field(default=MISSING, name="Python id")
    python_parent: Number = msgspec.field(default=MISSING, name="Python parent id")
    sync_stream: Number = msgspec.field(default=MISSING, name="wait_on_stream")
    sync_event: Number = msgspec.field(default=MISSING, name="wait_on_cuda_event_record_corr_id")
    input_dims: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Input Dims")
    input_types: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Input type")
    input_dims_2021: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="Input dims")
    name: Any = None
    collective: Any = msgspec.field(default=None, name="Collective name")
    dtype: Any = None
    group: Any = msgspec.field(default=None, name="Process Group Name")
    group_size: Number = msgspec.field(default=None, name="Group size")
    elements_in: Number = msgspec.field(default=None, name="In msg nelems")
    elements_out: Number = msgspec.field(default=None, name="Out msg nelems")
    memory_bytes: Number = msgspec.field(default=None, name="Bytes")
    allocated_bytes: Number = msgspec.field(default=None, name="Total Allocated")
    reserved_bytes: Number = msgspec.field(default=None, name="Total Reserved")
    memory_device: Number = msgspec.field(default=None, name="Device Id")
    memory_device_type: Number = msgspec.field(default=None, name="Device Type")


class Event(msgspec.Struct, gc=False):
    """One entry of `traceEvents`; times in µs."""

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
    """What a trace says about itself, before its events or after them."""

    schema_version: Any = None
    base_time_nanoseconds: int = 0
    distributed_info: Any = None
    device_properties: Any = None
    trace_name: Any = None
    record_shapes: Any = msgspec.field(default=None, name="record_shapes")
    with_stack: Any = msgspec.field(default=None, name="with_stack")

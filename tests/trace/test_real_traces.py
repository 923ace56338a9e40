"""Every real trace, against the standard json module and plain Python over it."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from real_traces import LARGE, SMALL, real_trace

from slowprobe.trace.names import canonical_category
from slowprobe.trace.reader import MISSING, Trace, read_trace

ARGUMENTS = {
    "external_id": ("External id", "external id"),
    "sequence": ("Sequence number",),
    "forward_thread": ("Fwd thread id",),
    "correlation": ("correlation",),
    "stream": ("stream",),
    "device": ("device",),
    "size_bytes": ("bytes",),
    "python_id": ("Python id",),
    "python_parent": ("Python parent id",),
    "sync_stream": ("wait_on_stream",),
    "sync_event": ("wait_on_cuda_event_record_corr_id",),
}


def load(path: Path) -> tuple[dict, list[dict]]:
    data = path.read_bytes()
    document = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data, parse_float=Decimal)
    return ({}, document) if isinstance(document, list) else (document, document["traceEvents"])


def whole_number(value: object) -> int:
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return MISSING
    return number if number < 1 << 63 else MISSING


def argument(event: dict, keys: tuple[str, ...]) -> int:
    args = event.get("args") or {}
    return next((number for key in keys if (number := whole_number(args.get(key))) != MISSING), MISSING)


def ns(time_us: object) -> int:
    return int((Decimal(time_us or 0) * 1000).to_integral_value())


def compare(trace: Trace, path: Path) -> None:
    document, events = load(path)
    rows = [event for event in events if event["ph"] == "X"]
    rows.sort(key=lambda event: (ns(event["ts"]), -ns(event.get("dur"))))
    assert len(trace) == len(rows) and trace.warnings == ()
    assert trace.start_ns.tolist() == [ns(event["ts"]) for event in rows]
    assert trace.duration_ns.tolist() == [ns(event.get("dur")) for event in rows]
    assert [trace.names[i] for i in trace.name_id.tolist()] == [event["name"] for event in rows]
    categories = [trace.categories[i] for i in trace.category_id.tolist()]
    assert categories == [canonical_category(event.get("cat") or "") for event in rows]
    for column, keys in ARGUMENTS.items():
        assert getattr(trace, column).tolist() == [argument(event, keys) for event in rows], column
    for column in ("pid", "tid"):
        numbers, labels = getattr(trace, column).tolist(), [event[column] for event in rows]
        for number, label in set(zip(numbers, labels, strict=True)):
            is_word = isinstance(label, str) and not label.isdigit()
            assert number < MISSING if is_word else number == int(label)
        assert len(set(numbers)) == len({str(label) for label in labels})
    assert sum(trace.skipped.values()) == len(events) - len(rows)
    for row, event in enumerate(rows):
        args = event.get("args") or {}
        dims = args.get("Input Dims", args.get("Input dims"))
        assert trace.input_dims(row) == dims
        assert trace.input_types(row) == args.get("Input type")
        collective = trace.collectives.get(row)
        assert (collective.name if collective else None) == (args.get("Collective name") or None)
    memory = [event for event in events if event["ph"] == "i" and event["name"] == "[memory]"]
    assert sorted(trace.memory.size_bytes.tolist()) == sorted(event["args"]["Bytes"] for event in memory)
    assert trace.base_ns == document.get("baseTimeNanoseconds", 0)
    assert len(trace.header["devices"] or ()) == len(document.get("deviceProperties") or ())
    assert trace.header["trace_name"] == document.get("traceName")
    named = [event for event in events if event["ph"] == "M" and event["name"] == "thread_name"]
    assert set(trace.thread_names.values()) <= {str(event["args"]["name"]) for event in named}
    assert len(trace.thread_names) == len({str(event["tid"]) for event in named})
    assert trace.start_ns.dtype == trace.duration_ns.dtype == np.int64


@pytest.mark.parametrize("name", SMALL)
def test_a_small_real_trace_reads_as_json_does(name):
    path = real_trace(name)
    compare(read_trace(path), path)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_large_real_trace_reads_as_json_does(name):
    path = real_trace(name)
    compare(read_trace(path), path)

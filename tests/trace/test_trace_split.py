"""Cutting a trace text into lists of events: the same events wherever the blocks end, and whatever strings hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slowprobe.errors import TraceError
from slowprobe.trace.decode import decode_header
from slowprobe.trace.events import Event, Header
from slowprobe.trace.split import EventLists

OPENING = re.compile(rb'^\s*\[|"traceEvents"\s*:\s*\[')
TRICKY = st.sampled_from(
    [
        "},{",
        '"},{"',
        "\\",
        '\\"',
        "}]",
        "[{",
        '"traceEvents": [',
        "}",
        "]",
        '{"ph": "X"}, {"ph": "X"}',
        "\\\\",
        "é\U0001f600",
    ]
)
TEXT = st.lists(TRICKY | st.text(max_size=4), max_size=4).map("".join)
NESTED = st.recursive(
    TEXT | st.integers(-5, 5) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
EVENT = st.fixed_dictionaries(
    {"ph": st.sampled_from(["X", "X", "M", "i"]), "name": TEXT, "ts": st.integers(0, 10**6)},
    optional={
        "dur": st.integers(0, 1000),
        "tid": st.integers(0, 9) | TEXT,
        "args": st.dictionaries(st.sampled_from(["External id", "correlation"]), st.integers(0, 99))
        | st.dictionaries(TEXT.filter(lambda key: key not in Event.__struct_fields__), NESTED, max_size=3),
        "extra": NESTED,
    },
)
SURROUNDINGS = st.dictionaries(TEXT.map("x".__add__), NESTED, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    events = draw(st.lists(EVENT, max_size=8))
    style: dict[str, Any] = {
        "indent": draw(st.sampled_from([None, 1, 2])),
        "separators": draw(st.sampled_from([None, (",", ":"), (" , ", " : ")])),
        "ensure_ascii": draw(st.booleans()),
    }
    if draw(st.booleans()):
        return json.dumps(events, **style).encode()
    before = draw(SURROUNDINGS) | {"deviceProperties": [{"id": 0}, {"id": 1}], "inner": {"traceEvents": [{"ph": "X"}]}}
    after = {f"after {key}": value for key, value in draw(SURROUNDINGS).items()}
    after |= {"baseTimeNanoseconds": 5, "more": [{"ph": "X"}, {"ph": "X"}]}
    return json.dumps({**before, "traceEvents": events, **after}, **style).encode()


def blocks(text: bytes, size: int) -> Iterator[bytes]:
    return (text[i : i + size] for i in range(0, len(text), size))


def key(event: Event) -> tuple:
    args = event.args
    ids = None if args is None else (args.external_id, args.correlation)
    return event.ph, event.name, event.ts, event.dur, event.tid, ids


@settings(max_examples=400, deadline=None)
@given(documents(), st.integers(1, 400))
def test_any_blocks_give_the_events_of_the_whole_text(text, size):
    lists = EventLists(blocks(text, size), "t.json")
    events = [event for events in lists for event in events]
    if text.startswith(b"["):
        expected, header = msgspec.json.decode(text, type=list[Event]), Header()
        assert lists.is_list
    else:
        raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        expected, header = (
            msgspec.json.decode(raw["traceEvents"], type=list[Event]),
            msgspec.json.decode(text, type=Header),
        )
        assert decode_header(lists.before, lists.after) == (header, None)
        assert header.base_time_nanoseconds == 5
    assert list(map(key, events)) == list(map(key, expected))
    assert not lists.lost and not lists.ends_early


@settings(max_examples=300, deadline=None)
@given(documents(), st.integers(1, 400), st.data())
def test_a_text_cut_off_anywhere_gives_its_first_events(text, size, data):
    cut = data.draw(st.integers(1, len(text)))
    whole = [event for events in EventLists(blocks(text, size), "t.json") for event in events]
    lists = EventLists(blocks(text[:cut], size), "t.json")
    try:
        events = [event for events in lists for event in events]
    except TraceError:
        assert len(OPENING.findall(text[:cut])) < len(OPENING.findall(text))
        return
    assert list(map(key, events)) == list(map(key, whole[: len(events)]))
    if len(events) < len(whole):
        assert lists.ends_early or lists.is_list


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENT, min_size=12, max_size=20), st.integers(1, 2000), st.data())
def test_damage_costs_no_event_far_from_it(events, size, data):
    texts = [json.dumps({**event, "name": f"op{i}"}) for i, event in enumerate(events)]
    damaged = data.draw(st.integers(0, len(texts) - 1))
    at = data.draw(st.integers(0, len(texts[damaged]) - 1))
    texts[damaged] = (
        texts[damaged][:at] + data.draw(st.sampled_from(["", '"', "{", "\\", "\x00"])) + texts[damaged][at + 1 :]
    )
    text = ("[" + ",\n".join(texts) + "]").encode()
    lists = EventLists(blocks(text, size), "t.json")
    names = {event.name for events in lists for event in events}
    lost = {i for i in range(len(texts)) if f"op{i}" not in names} - {damaged}
    assert lost <= {damaged + 1}, "the next event may hide behind a string that does not close"


def test_strings_and_lists_that_look_like_boundaries_cost_nothing():
    long = {"ph": "X", "name": "},{" * 5000, "args": {"list": [{"a": 1}, {"b": 2}] * 2000}}
    text = json.dumps({"traceEvents": [long] * 3}).encode()
    for size in (1000, 20_000, len(text)):
        lists = EventLists(blocks(text, size), "t.json")
        assert sum(len(events) for events in lists) == 3 and not lists.lost


def test_events_come_while_the_text_does():
    event = json.dumps({"ph": "X", "name": "a", "ts": 1}).encode()
    text = b'{"traceEvents": [' + b", ".join([event] * 1000) + b"]}"
    sizes = [len(events) for events in EventLists(blocks(text, 1000), "t.json")]
    assert len(sizes) > 10 and max(sizes) < 50 and sum(sizes) == 1000


@pytest.mark.parametrize(
    "start",
    [b'[{"name": "', b'{"traceEvents": [{"args": {"x": [', b'{"note": "', b'[{"ph": "X"}, {"name": "},{', b"[1, "],
)
def test_an_endless_value_is_refused_before_it_fills_the_memory(start):
    used = 0

    def endless() -> Iterator[bytes]:
        nonlocal used
        for block in chain([start], repeat(b"1," * (1 << 19), 10_000)):
            used += len(block)
            yield block

    with pytest.raises(TraceError, match="not a trace"):
        list(EventLists(endless(), "t.json"))
    assert used < 70 << 20


def test_endless_space_takes_no_memory_and_no_event():
    text = chain([b'[{"ph": "X"},'], repeat(b" " * (1 << 20), 200), [b'{"ph": "X"}]'])
    assert [len(events) for events in EventLists(text, "t.json")] in ([1, 1], [2])


def test_much_text_after_the_events_is_left_unread():
    text = chain([b'{"traceEvents": [{"ph": "X"}], "x": "'], repeat(b"x" * (1 << 20), 100), [b'"}'])
    lists = EventLists(text, "t.json")
    assert [len(events) for events in lists] == [1] and lists.after is None

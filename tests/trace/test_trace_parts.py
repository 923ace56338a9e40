"""Traces read in several processes are what one process reads of them."""

from __future__ import annotations

import gzip
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slowprobe.trace import parts
from slowprobe.trace.columns import Places
from slowprobe.trace.reader import Trace, read_trace

STRETCHES = 40


def events(stretch: int) -> list[dict[str, Any]]:
    """Some of every kind; names, places and shapes that only later stretches have."""
    at, late = 100.25 * stretch, stretch // 10
    host = {"ph": "X", "pid": 7, "tid": f"thread {late}", "ts": at, "dur": 50}
    shapes = {"External id": stretch, "Input Dims": [[late, 3], []], "Input type": [f"type {late}", ""]}
    told = {"Collective name": "all_reduce", "In msg nelems": stretch, "Out msg nelems": 1}
    return [
        {"ph": "M", "name": "thread_name", "pid": 7, "tid": f"thread {late}", "args": {"name": f"named {late}"}},
        {**host, "cat": "cpu_op", "name": f"aten::op{late} }}, {{ \\", "args": shapes},
        {**host, "cat": "Kernel", "name": "k", "pid": f"device {late}", "args": {"stream": 7, "correlation": stretch}},
        {**host, "cat": f"category {late}", "name": "nccl", "args": told if stretch % 7 == 3 else None},
        {"ph": "i", "name": "[memory]", "ts": at, "pid": 7, "args": {"Bytes": stretch, "Device Type": 1}},
        {"ph": "s", "id": stretch, "name": "flow", "ts": at, "pid": 7, "tid": 7},
    ]


def document(stretches: int = STRETCHES) -> dict[str, Any]:
    every = [event for stretch in range(stretches) for event in events(stretch)]
    return {"schemaVersion": 1, "record_shapes": 1, "traceEvents": every, "traceName": "t"}


def assert_same(one: Trace, other: Trace) -> None:
    for field in fields(Trace):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name in ("pid", "tid", "thread_names"):
            continue
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype and mine.tolist() == theirs.tolist(), field.name
        elif field.name == "memory":
            for column in fields(mine):
                assert getattr(mine, column.name).tolist() == getattr(theirs, column.name).tolist()
        else:
            assert mine == theirs, field.name
    # Which number a word got depends on where blocks of text end; whose rows are together does not.
    both = [np.concatenate([trace.pid, trace.tid, list(trace.thread_names)]).tolist() for trace in (one, other)]
    same = dict(zip(*both, strict=True))
    assert [same[number] for number in both[0]] == both[1] and len(set(same.values())) == len(same)
    assert all(number == own for number, own in same.items() if number >= -1)
    assert list(one.thread_names.values()) == list(other.thread_names.values())


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "_WORTH_BYTES", 4000)
    monkeypatch.setattr(parts, "_SEARCHED_BYTES", 2000)


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("processes", [2, 4])
def test_parts_add_up_to_the_trace(tmp_path, processes, as_list):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(document()["traceEvents"] if as_list else document()))
    assert len(parts._bounds(path, processes)) == processes + 1
    seen: list[tuple[int, int]] = []
    found = parts.read_in_parts(path, processes, lambda done, total: seen.append((done, total)))
    assert found is not None, "read in parts, not from the start again"
    assert seen[-1][0] == seen[-1][1]
    trace = read_trace(path, processes=processes)
    assert_same(trace, read_trace(path))
    assert len(trace) == 3 * STRETCHES and len(trace.collectives) == 6
    assert sorted(trace.thread_names.values()) == [f"named {late}" for late in range(4)]


def test_a_damaged_trace_is_read_from_the_start(tmp_path):
    text = json.dumps(document())
    path = tmp_path / "t.json"
    for damaged in (text[:-5000], text.replace('"dur": 50', '"dur": 5x', 1), text[:9000] + "\0" * 50 + text[9050:]):
        path.write_text(damaged)
        trace = read_trace(path, processes=2)
        assert trace.warnings
        assert_same(trace, read_trace(path))


def test_a_cut_in_the_wrong_place_costs_nothing_but_time(tmp_path):
    nested = document()
    nested["traceEvents"].append({"ph": "X", "name": "n", "ts": 1, "dur": 1, "args": {"x": [{"ph": "X"}] * 9000}})
    path = tmp_path / "t.json"
    path.write_text(json.dumps(nested))
    assert parts.read_in_parts(path, 2) is None
    assert_same(read_trace(path, processes=2), read_trace(path))


def test_small_and_packed_traces_are_read_by_one(tmp_path):
    packed, small = tmp_path / "t.json.gz", tmp_path / "small.json"
    packed.write_bytes(gzip.compress(json.dumps(document()).encode(), 0))
    small.write_text(json.dumps(document(4)))
    for path in (packed, small):
        assert parts.read_in_parts(path, 4) is None
        assert_same(read_trace(path, processes=4), read_trace(path))


def test_a_trace_of_one_long_event_has_no_place_to_cut(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"traceEvents": [{"ph": "X", "name": "n" * 20_000, "ts": 1, "dur": 1}]}))
    assert parts._bounds(path, 2) == [0, path.stat().st_size]


def test_a_missing_file_is_left_to_the_reader(tmp_path: Path):
    assert parts.read_in_parts(tmp_path / "none.json", 2) is None


def test_words_that_other_processes_numbered_keep_their_meaning():
    mine, theirs = Places(), Places()
    assert mine.numbers(["a", "b", 5], 3).tolist() == [-2, -3, 5]
    values = theirs.numbers(["b", 9, "c", "a"], 4)
    assert values.tolist() == [-2, 9, -3, -4]
    assert mine.renumbered(values, theirs).tolist() == [-3, 9, -4, -2]

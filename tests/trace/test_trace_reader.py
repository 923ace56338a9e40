"""Reading traces: small hand-made ones for every oddity, and real ones of other people where they are at hand."""

from __future__ import annotations

import gc
import gzip
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from real_traces import real_trace

from slowprobe.errors import TraceError
from slowprobe.trace.reader import MISSING, read_trace


def event(name: str, ts: float, dur: float, cat: str = "cpu_op", **more: object) -> dict[str, object]:
    return {"ph": "X", "cat": cat, "name": name, "pid": 7, "tid": 7, "ts": ts, "dur": dur, **more}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def names(trace) -> list[str]:
    return [trace.names[i] for i in trace.name_id]


def test_rows_are_in_order_of_start_with_parents_first(tmp_path):
    path = write(
        tmp_path / "t.json",
        {
            "schemaVersion": 1,
            "baseTimeNanoseconds": 1790857026000000000,
            "record_shapes": 1,
            "traceEvents": [
                event("inner", 10, 2),
                event("last", 20.5, 1.25),
                event("outer", 10, 5, args={"External id": 3, "Input Dims": [[2, 3], [], [[4], [5, 2]]]}),
                {"ph": "M", "name": "thread_name", "pid": 7, "tid": 7, "args": {"name": "thread 7 (python)"}},
                {"ph": "s", "id": 1, "pid": 7, "tid": 7, "ts": 11, "cat": "fwdbwd", "name": "fwdbwd"},
            ],
        },
    )
    trace = read_trace(path)
    assert names(trace) == ["outer", "inner", "last"]
    assert trace.start_ns.tolist() == [10_000, 10_000, 20_500]
    assert trace.duration_ns.tolist() == [5_000, 2_000, 1_250]
    assert trace.external_id.tolist() == [3, MISSING, MISSING]
    assert trace.base_ns == 1790857026000000000
    assert trace.header["record_shapes"] and not trace.header["with_stack"]
    assert trace.numel(0) == 14, "a list of tensors counts all of them"
    assert trace.numel(1) is None
    assert trace.thread_names == {7: "thread 7 (python)"}
    assert trace.skipped == {"M": 1, "s": 1}
    assert trace.warnings == ()


def test_old_names_and_a_list_at_the_top_read_like_new_ones(tmp_path):
    old = [
        event("ProfilerStep#1", 0, 100, "Operator", tid="7"),
        event("aten::add", 1, 5, "Operator", args={"Input dims": [[8]], "external id": 4}),
        event("k", 10, 5, "Kernel", tid="stream 7", pid=0, args={"stream": "7", "correlation": 9, "device": 0}),
        event("cudaLaunchKernel", 2, 1, "Runtime", args={"correlation": 9}),
    ]
    trace = read_trace(write(tmp_path / "t.json", old))
    assert names(trace) == ["ProfilerStep#1", "aten::add", "cudaLaunchKernel", "k"]
    assert set(trace.categories) == {"cpu_op", "kernel", "cuda_runtime"}
    assert trace.operators().tolist() == [False, True, False, False]
    assert trace.annotations().tolist() == [True, False, False, False]
    assert trace.stream.tolist() == [MISSING, MISSING, MISSING, 7]
    assert trace.correlation.tolist() == [MISSING, MISSING, 9, 9]
    assert trace.external_id[1] == 4 and trace.numel(1) == 8
    assert trace.tid.tolist()[:2] == [7, 7] and trace.tid[3] < MISSING


@pytest.mark.parametrize("ts", ["1718000000000000.123", "4527268713612.252", "1718000000000001"])
def test_no_nanosecond_is_rounded_away(tmp_path, ts):
    path = write(
        tmp_path / "t.json",
        f'{{"traceEvents": [{{"ph":"X","cat":"cpu_op","name":"a","ts":{ts},"dur":0.007,"pid":1,"tid":1}}]}}',
    )
    trace = read_trace(path)
    whole, _, fraction = ts.partition(".")
    assert trace.start_ns.tolist() == [int(whole) * 1000 + int(fraction or 0)]
    assert trace.duration_ns.tolist() == [7]


def test_the_largest_unsigned_number_means_no_id(tmp_path):
    path = write(tmp_path / "t.json", [event("a", 0, 1, args={"Sequence number": 2**64 - 1})])
    assert read_trace(path).sequence.tolist() == [MISSING]


def many(count: int = 500) -> str:
    events = [event(f"op{i}", i * 10, 5, args={"External id": i, "Input Dims": [[1], [2]]}) for i in range(count)]
    return json.dumps({"schemaVersion": 1, "traceEvents": events, "traceName": "x"}, indent=1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_cut_off_file_gives_what_is_there_and_says_so(tmp_path, share):
    text = many()
    trace = read_trace(write(tmp_path / "t.json", text[: int(len(text) * share)]))
    assert 0.9 * share * 500 <= len(trace) <= 500
    assert names(trace) == [f"op{i}" for i in range(len(trace))]
    assert trace.header["schema_version"] == 1
    (warning,) = trace.warnings
    assert f"{len(trace)} events read" in warning and "ends early" in warning


def test_a_cut_off_gzip_file_gives_what_is_there(tmp_path):
    packed = gzip.compress(many(5000).encode())
    path = tmp_path / "t.json.gz"
    path.write_bytes(packed[: len(packed) // 2])
    trace = read_trace(path)
    assert 1000 < len(trace) < 5000
    assert len(trace.warnings) == 2 and "cut off" in trace.warnings[0]


def test_a_gzip_file_of_two_members_is_read_whole(tmp_path):
    text = many().encode()
    path = tmp_path / "t.json.gz"
    path.write_bytes(gzip.compress(text[:1000]) + gzip.compress(text[1000:]))
    trace = read_trace(path)
    assert len(trace) == 500 and trace.warnings == ()


def test_one_damaged_event_costs_only_itself(tmp_path):
    text = many().replace('"name": "op200"', '"name": "op\\q200"')
    trace = read_trace(write(tmp_path / "t.json", text))
    assert len(trace) == 499 and "op200" not in trace.names
    assert "1 lost" in trace.warnings[0]


def test_numbers_written_as_text_are_read(tmp_path):
    path = write(tmp_path / "t.json", [event("a", 1, 2), {**event("b", 3, 2), "ts": "5", "dur": "2.5"}])
    trace = read_trace(path)
    assert trace.start_ns.tolist() == [1000, 5000] and trace.duration_ns.tolist() == [2000, 2500]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01binary\xff",
        b"hello",
        b'{"a": 1}',
        b'{"traceEvents": []}',
        b"[]",
        b"[1, 2]",
        b'{"traceEvents": 3}',
        b"\x1f\x8b\x08damaged",
        gzip.compress(b"no trace"),
        gzip.compress(b""),
        gzip.compress(b"[" + b" " * 100_000),
        b"[" * 300_000,
        b"[" * 300_000 + b"]" * 300_000,
        b'{"a":' * 300_000 + b"1" + b"}" * 300_000,
        b'[{"ph": "X", "args": {"x": ' + b"[" * 300_000 + b"]" * 300_000 + b"}}]",
        b'[{"ph": "X", "x": ' + b'{"a":' * 300_000 + b"1" + b"}" * 300_000 + b"}]",
        b"\xff\xfe[\x00]\x00",
        b"{",
        b'{"traceEvents": [{"ph": "X"',
    ],
)
def test_what_is_no_trace_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(TraceError) as refusal:
        read_trace(path)
    assert "t.json" in str(refusal.value) and "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path / "none.json")
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)


def test_ten_gigabytes_of_one_string_are_refused(tmp_path):
    path = write(tmp_path / "t.json", '{"traceEvents": [{"ph": "X", "name": "')
    os.truncate(path, 10 << 30)  # sparse
    with pytest.raises(TraceError, match="an event of more than 64 MiB"):
        read_trace(path)


@pytest.mark.parametrize("filling", [b" ", b'{"ph":"X"},'])
def test_a_gzip_bomb_is_refused_in_little_memory(tmp_path, filling):
    packed = gzip.compress(filling * ((64 << 20) // len(filling)))
    path = tmp_path / "t.json.gz"
    path.write_bytes(gzip.compress(b"[" + filling) + packed * 200)
    reading = "import resource; from pathlib import Path; from slowprobe.trace.reader import read_trace\n"
    reading += "base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    reading += f"try: read_trace(Path({str(path)!r}))\nexcept Exception as error: print(type(error).__name__, error)\n"
    reading += "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024)"
    done = subprocess.run([sys.executable, "-c", reading], capture_output=True, text=True, check=True)
    refusal, grown_mib = done.stdout.splitlines()
    assert refusal.startswith("TraceError") and "times its size" in refusal
    assert int(grown_mib) < (60 if filling == b" " else 300), "rows are kept until the refusal"


def test_an_event_nested_too_deep_costs_only_itself(tmp_path):
    deep = '{"ph": "X", "name": "deep", "args": {"x": ' + "[" * 5000 + "]" * 5000 + "}}"
    trace = read_trace(write(tmp_path / "t.json", many().replace('"traceEvents": [', '"traceEvents": [' + deep + ",")))
    assert len(trace) == 500 and "1 lost" in trace.warnings[0]


def test_a_header_nested_too_deep_is_left_out(tmp_path):
    deep = "[" * 5000 + "]" * 5000
    trace = read_trace(write(tmp_path / "t.json", many().replace('"traceName": "x"', f'"traceName": {deep}')))
    assert len(trace) == 500 and trace.header["schema_version"] == 1
    assert "what follows the events cannot be read" in trace.warnings[0]


def test_a_file_cut_off_behind_its_events_loses_only_the_rest_of_the_header(tmp_path):
    text = many()
    trace = read_trace(write(tmp_path / "t.json", text[: text.index("traceName")]))
    assert len(trace) == 500 and trace.header["schema_version"] == 1 and trace.header["trace_name"] is None
    (warning,) = trace.warnings
    assert "what follows the events cannot be read" in warning


def test_a_list_needs_no_closing_bracket(tmp_path):
    text = json.dumps([event("a", 0, 1), event("b", 1, 1)])[:-1]
    for ending in ("", ",", ",\n"):
        trace = read_trace(write(tmp_path / "t.json", text + ending))
        assert names(trace) == ["a", "b"] and trace.warnings == ()


def test_the_header_may_follow_the_events(tmp_path):
    devices = [{"id": 0, "name": "A"}, {"id": 1, "name": "},{"}]
    text = json.dumps({"traceEvents": [event("a", 0, 1)], "deviceProperties": devices, "baseTimeNanoseconds": 7})
    trace = read_trace(write(tmp_path / "t.json", text))
    assert trace.header["devices"] == devices and trace.base_ns == 7 and trace.warnings == ()


def test_progress_grows_to_the_size_of_the_file(tmp_path):
    seen: list[tuple[int, int]] = []
    for name, data in (("t.json", many(20_000).encode()), ("t.json.gz", gzip.compress(many(20_000).encode()))):
        path = tmp_path / name
        path.write_bytes(data)
        seen.clear()
        read_trace(path, progress=lambda done, total: seen.append((done, total)))
        assert {total for _, total in seen} == {len(data)} and seen[-1][0] == len(data)
        assert len(seen) > 3 and seen == sorted(seen)


def test_times_no_clock_shows_and_negative_durations_become_zero(tmp_path):
    trace = read_trace(write(tmp_path / "t.json", [event("a", 1e300, 1), event("b", 5, -2), event("c", 6, 1e18)]))
    assert names(trace) == ["a", "b", "c"] and trace.start_ns.tolist() == [0, 5000, 6000]
    assert trace.duration_ns.tolist() == [1000, 0, 0]


def test_small_ids_take_half_the_memory_and_large_ones_stay_whole(tmp_path):
    rows = [event("a", i, 1, args={"correlation": i, "External id": i << 40}) for i in range(3)]
    trace = read_trace(write(tmp_path / "t.json", rows))
    assert trace.correlation.dtype == np.int32 and trace.external_id.tolist() == [0, 1 << 40, 2 << 40]
    assert trace.stream.tolist() == [MISSING] * 3 and trace.stream.strides == (0,)


def test_a_trace_travels_to_another_process(tmp_path):
    path = write(tmp_path / "t.json", [event("a", 0, 1, args={"Input Dims": [[2, 3]], "Input type": ["long int"]})])
    trace = pickle.loads(pickle.dumps(read_trace(path)))
    assert trace.numel(0) == 6 and trace.input_dims(0) == [[2, 3]] and trace.stream.tolist() == [MISSING]
    assert trace.input_types(0) == ["long int"]


def test_types_are_read_and_cost_nothing_where_none_was_recorded(tmp_path):
    typed = event("typed", 0, 1, args={"Input type": ["float", "Scalar", ""]})
    trace = read_trace(
        write(tmp_path / "t.json", [typed, event("bare", 5, 1), event("odd", 9, 1, args={"Input type": 3})])
    )
    assert [trace.input_types(row) for row in range(3)] == [["float", "Scalar", ""], None, None]
    bare = read_trace(write(tmp_path / "b.json", [event("a", 0, 1)]))
    assert bare.input_types(0) is None and bare._types_id.strides == (0,)


def test_collectives_and_memory_follow_the_order_of_rows(tmp_path):
    about = {
        "Collective name": "all_reduce",
        "dtype": "Float",
        "Group size": 8,
        "In msg nelems": 5,
        "Out msg nelems": 5,
    }
    rows = [event("late", 9, 1), event("nccl", 5, 1, args=about), event("early", 1, 1)]
    for ts, size in ((8, -4), (3, 4)):
        args = {"Bytes": size, "Total Allocated": 10 + size, "Total Reserved": 20, "Device Id": 1, "Device Type": 1}
        rows.append({"ph": "i", "name": "[memory]", "ts": ts, "pid": 7, "tid": 7, "args": args})
    trace = read_trace(write(tmp_path / "t.json", rows))
    assert names(trace) == ["early", "nccl", "late"]
    assert {row: found.name for row, found in trace.collectives.items()} == {1: "all_reduce"}
    assert trace.memory.start_ns.tolist() == [3000, 8000] and trace.memory.size_bytes.tolist() == [4, -4]
    assert trace.memory.device.tolist() == [1, 1]


def test_the_collector_is_on_again_afterwards(tmp_path):
    with pytest.raises(TraceError):
        read_trace(write(tmp_path / "t.json", '{"traceEvents": 3}'))
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("name", "rows", "kernels"),
    [
        ("h100_sync_events_after.pt.trace.json", 9, 1),
        ("hta_mi250_minitoy_train.json.gz", 113, 14),
        ("tl_mi300x_torchcompile_triton.json.gz", 115, 12),
        ("v100_resnet50_list_toplevel/worker0.pt.trace.json.gz", 63166, 9538),
    ],
)
def test_real_traces_keep_every_row(name, rows, kernels):
    trace = read_trace(real_trace(name))
    assert len(trace) == rows and trace.warnings == ()
    assert int(trace.is_category("kernel").sum()) == kernels
    assert bool((np.diff(trace.start_ns) >= 0).all()) and bool((trace.duration_ns >= 0).all())
    assert not (trace.operators() & trace.annotations()).any()

"""Reading traces: small hand-made ones for every oddity, and real ones of other people where they are at hand."""

from __future__ import annotations

import gc
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from slowprobe.errors import TraceError
from slowprobe.trace.reader import MISSING, read_trace

SHARED = Path(__file__).parents[3] / "shared" / "traces"


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


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path / "none.json")


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
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"no real trace at {path.name}: ../shared/traces is absent")
    trace = read_trace(path)
    assert len(trace) == rows and trace.warnings == ()
    assert int(trace.is_category("kernel").sum()) == kernels
    assert bool((np.diff(trace.start_ns) >= 0).all()) and bool((trace.duration_ns >= 0).all())
    assert not (trace.operators() & trace.annotations()).any()

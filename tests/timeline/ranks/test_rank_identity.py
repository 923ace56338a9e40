"""Which rank a trace is of, and which traces belong together."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from slowprobe.timeline.ranks.find import find_recordings, natural
from slowprobe.timeline.ranks.identity import Distributed, distributed, rank_in_name, recording_name, stem_of


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("worker0.1623143089861.pt.trace.json.gz", 0),
        ("worker7_step_12.1694128201553.pt.trace.json.gz", 7),
        ("sampled_rank-1.json.gz", 1),
        ("trace_rank12.json", 12),
        ("rank_3.json", 3),
        ("hta_a100_8rank_r3_control.json.gz", 3),
        ("hta_cpu_only_gloo_r34.json.gz", 34),
        ("job-R5.json", 5),
        ("resnet_r50_rank2.json", 2),
        ("trace.json", None),
        ("8rank.json", None),
        ("render3.json", None),
        ("worker.json", None),
        ("host_4242.1694128201553.pt.trace.json", None),
    ],
)
def test_rank_in_a_file_name(name: str, rank: int | None) -> None:
    assert rank_in_name(name) == rank


def test_the_name_of_a_recording_leaves_out_rank_and_time() -> None:
    one, two = "worker0_step_12.1694128201545.pt.trace.json.gz", "worker3_step_12.1694128201557.pt.trace.json.gz"
    assert recording_name(one) == recording_name(two) == "worker*_step_12.*"
    assert recording_name("worker0_step_24.1694128209999.pt.trace.json.gz") != recording_name(one)
    assert stem_of("worker0.1623143089861.pt.trace.json.gz") == "worker0.1623143089861"
    assert stem_of(".json") == ".json"


@pytest.mark.parametrize(
    "info",
    [
        None,
        3,
        [],
        "rank",
        {"rank": "1"},
        {"rank": -1},
        {"rank": True},
        {"pg_config": {"a": 1}},
        {"pg_config": [3, None]},
    ],
)
def test_a_strange_header_tells_nothing(info: object) -> None:
    assert distributed(info) == Distributed()


def test_a_header_tells_rank_size_and_groups() -> None:
    told = distributed(
        {"rank": 3, "world_size": 8, "pg_config": [{"pg_name": "0", "ranks": [0, 1]}, {"pg_name": "1", "ranks": "all"}]}
    )
    assert told == Distributed(3, 8, (("0", (0, 1)), ("1", ())))


def trace(path: Path, rank: int | None = None, world_size: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    info = {} if rank is None else {"distributedInfo": {"backend": "nccl", "rank": rank, "world_size": world_size}}
    text = json.dumps({"schemaVersion": 1, **info, "traceEvents": [{"ph": "X", "name": "a", "ts": 1, "dur": 1}]})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def names(folder: Path) -> list[list[str]]:
    return [[path.name for path in recording.paths] for recording in find_recordings(folder)]


def test_ranks_of_a_job_are_one_recording_in_order(tmp_path: Path) -> None:
    for rank in (10, 2, 0):
        trace(tmp_path / f"host{rank * 3}_4242.1694128{rank:06}.pt.trace.json.gz", rank, 16)
    assert names(tmp_path) == [[f"host{rank * 3}_4242.1694128{rank:06}.pt.trace.json.gz" for rank in (0, 2, 10)]]


def test_ranks_by_name_where_the_traces_do_not_tell(tmp_path: Path) -> None:
    for rank in range(3):
        trace(tmp_path / f"worker{rank}.16941282015{rank}5.pt.trace.json")
    trace(tmp_path / "resnet_r50.json")
    assert names(tmp_path) == [
        [f"worker{rank}.16941282015{rank}5.pt.trace.json" for rank in range(3)],
        ["resnet_r50.json"],
    ]


def test_several_recordings_of_a_job_stay_apart_and_the_last_comes_first(tmp_path: Path) -> None:
    for step in (9, 12):
        for rank in range(2):
            trace(tmp_path / f"worker{rank}_step_{step}.pt.trace.json", rank, 2)
    assert names(tmp_path) == [[f"worker{rank}_step_{step}.pt.trace.json" for rank in range(2)] for step in (12, 9)]


def test_recordings_that_names_do_not_tell_apart_are_taken_in_turn(tmp_path: Path) -> None:
    for stamp in (1_600_000_000_000, 1_600_000_100_000):
        for rank in range(2):
            trace(tmp_path / f"host_{rank}.{stamp + rank}.pt.trace.json", rank, 2)
    assert names(tmp_path) == [
        [f"host_{rank}.{stamp + rank}.pt.trace.json" for rank in range(2)]
        for stamp in (1_600_000_100_000, 1_600_000_000_000)
    ]


def test_of_the_windows_of_a_run_the_clean_one_comes_first(tmp_path: Path) -> None:
    clean = trace(tmp_path / "traces" / "vm_18968.1795422275017846600.clean.pt.trace.json.gz")
    annotated = trace(tmp_path / "traces" / "vm_18968.1795422275370043393.annotated.pt.trace.json.gz")
    assert names(tmp_path) == [[clean.name], [annotated.name]]


def test_folders_are_searched_and_kept_apart(tmp_path: Path) -> None:
    for rank in range(2):
        trace(tmp_path / "a" / f"rank{rank}.json", rank, 2)
        trace(tmp_path / "b" / "deep" / f"rank{rank}.json.gz", rank, 2)
    trace(tmp_path / ".hidden" / "rank0.json", 0, 2)
    found = find_recordings(tmp_path)
    assert [(recording.folder.name, len(recording.paths)) for recording in found] == [("deep", 2), ("a", 2)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"loss": [1, 2]}',
        b"[1, 2]",
        b'[{"loss": 1}]',
        b"\x1f\x8bdamaged",
        b"\x00\xff",
        b'"traceEvents": []',
    ],
)
def test_other_json_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.json").write_bytes(content)
    assert find_recordings(tmp_path) == []
    kept = trace(tmp_path / "t.pt.trace.json")
    assert [recording.paths for recording in find_recordings(tmp_path)] == [(kept,)]


def test_a_list_at_the_top_is_a_trace(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('[\n  {"name": "a", "ph": "X", "ts": 1, "dur": 2}]')
    assert names(tmp_path) == [["old.json"]]


def test_natural_order() -> None:
    assert sorted(["step_12", "step_9", "step_", "a12"], key=natural) == ["a12", "step_", "step_9", "step_12"]

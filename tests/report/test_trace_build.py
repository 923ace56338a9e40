"""The document of a trace: what rules may ask for, what the verdict says, and that its parts add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slowprobe.diagnose.declared import DeclaredEvidence
from slowprobe.diagnose.engine import discover, examine
from slowprobe.diagnose.evidence import EvidenceMissing
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.report.document import Document
from slowprobe.report.trace_build import build_trace_document
from slowprobe.timeline.ranks.load import load_ranks
from slowprobe.trace.reader import read_trace

STEP = 1000.0


def row(name: str, ts: float, dur: float, cat: str, tid: int = 7, **args: object) -> dict[str, object]:
    return {"ph": "X", "cat": cat, "name": name, "pid": 7, "tid": tid, "ts": ts, "dur": dur, "args": args}


class Loop:
    """Steps of 1 ms in which a host row fills the time before the only kernel."""

    def __init__(self, busy: float, before: str, cat: str = "user_annotation", copy: float = 0.0) -> None:
        self.events = []
        for step in range(5):
            at, correlation = step * STEP, step * 3 + 1
            idle = STEP - busy - copy
            self.events.append(row(f"ProfilerStep#{step}", at, STEP, "user_annotation"))
            self.events.append(row(before, at + 1, max(idle - 12, 1), cat, correlation=correlation + 2))
            if copy:
                self.events += [
                    row("cudaMemcpyAsync", at + idle - 9, 2, "cuda_runtime", correlation=correlation),
                    row("Memcpy HtoD (Pageable -> Device)", at + idle, copy, "gpu_memcpy", 70, device=0, stream=7,
                        correlation=correlation, bytes=1000),
                ]  # fmt: skip
            self.events += [
                row("cudaLaunchKernel", at + idle - 6, 2, "cuda_runtime", correlation=correlation + 1),
                row("ampere_sgemm_nn", at + idle + copy, busy, "kernel", 70, device=0, stream=7,
                    correlation=correlation + 1),
            ]  # fmt: skip

    def evidence(self, folder: Path, **header: object) -> TraceEvidence:
        path = folder / "t.json"
        path.write_text(json.dumps({**header, "traceEvents": self.events}))
        return TraceEvidence(read_trace(path))

    def document(self, folder: Path, **header: object) -> Document:
        return build_trace_document(self.evidence(folder, **header), "t", "slowprobe analyze t.json")


def test_evidence_of_a_trace_is_what_a_trace_holds(tmp_path: Path) -> None:
    evidence = Loop(600, "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__").evidence(tmp_path)
    asked = DeclaredEvidence(evidence, ("steps", "replay", "device", "ranks", "loaders", "partition", "ops"))
    assert (
        asked.steps.count == 5
        and asked.device.partition.span_ns == asked.device.span_end_ns - asked.device.span_start_ns
    )
    for name in ("ranks", "loaders", "partition", "ops"):
        with pytest.raises(EvidenceMissing, match="one rank" if name == "ranks" else "does not hold this"):
            getattr(asked, name)
    with pytest.raises(AttributeError, match="not among the rule's needs"):
        _ = asked.trace


def test_the_parts_of_a_step_are_the_step(tmp_path: Path) -> None:
    steps = Loop(600, "enumerate(DataLoader)#x", copy=100).evidence(tmp_path).steps
    for at, wall_ms in enumerate(steps.wall_ms):
        assert sum(values[at] for values in steps.parts.values()) == pytest.approx(wall_ms)
    assert {"matmul", "copy", "data_wait"} <= set(steps.parts)


def test_no_change_is_the_recording(tmp_path: Path) -> None:
    outlook = Loop(600, "enumerate(DataLoader)#x").evidence(tmp_path).replay.outlook(())
    assert outlook.before_s == outlook.expected_s == pytest.approx(5e-3)


def test_rules_about_a_run_are_not_checked(tmp_path: Path) -> None:
    examined = examine(Loop(600, "enumerate(DataLoader)#x").evidence(tmp_path))
    assert set(examined.outcomes) == {loaded.id for loaded in discover()}
    asked = [outcome for outcome in examined.outcomes.values() if outcome.status == "error"]
    assert asked == []
    assert examined.outcomes["workers-zero"].status == "not-checked"


@pytest.mark.parametrize(
    ("loop", "bottleneck", "says"),
    [
        (
            Loop(600, "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"),
            "input",
            "makes its batches itself",
        ),
        (Loop(600, "aten::_index_put_impl_", "cpu_op"), "host", "waits for Python, the framework"),
        (Loop(990, "aten::add", "cpu_op"), "none", "nothing but its kernels"),
        (Loop(500, "aten::add", "cpu_op", copy=450), "transfer", "copies without computing 4"),
    ],
    ids=["input", "host", "none", "transfer"],
)
def test_the_verdict_is_what_costs_most(tmp_path: Path, loop: Loop, bottleneck: str, says: str) -> None:
    document = loop.document(tmp_path)
    assert document.verdict.bottleneck == bottleneck
    assert says in document.verdict.headline
    assert document.verdict.share == 0 if bottleneck == "none" else document.verdict.share > 0.05


def test_the_time_of_the_device_adds_up(tmp_path: Path) -> None:
    document = Loop(600, "enumerate(DataLoader)#x", copy=100).document(tmp_path)
    assert sum(bucket.seconds for bucket in document.time.buckets) == pytest.approx(5 * STEP / 1e6, abs=1e-8)
    assert document.time.wall_s == pytest.approx(5 * STEP / 1e6)
    assert {bucket.id for bucket in document.time.buckets} == {"matmul", "copy", "data_wait"} | (
        {bucket.id for bucket in document.time.buckets} & {"python", "launch"}
    )


def test_the_header_tells_the_device_and_nothing_is_made_up(tmp_path: Path) -> None:
    header = {"deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}]}
    run = Loop(600, "aten::add", "cpu_op").document(tmp_path, **header).run
    assert run.devices == ["NVIDIA H100 80GB HBM3"]
    assert (run.torch, run.python, run.host, run.started_at) == ("not recorded", "not recorded", {}, "not recorded")
    assert Loop(600, "aten::add", "cpu_op").document(tmp_path).run.devices == []


@pytest.mark.parametrize("base", [-(1 << 62), 1 << 62, 0])
def test_a_strange_base_time_is_no_date(tmp_path: Path, base: int) -> None:
    assert Loop(600, "aten::add", "cpu_op").document(tmp_path, baseTimeNanoseconds=base).run.started_at is not None


def test_ranks_are_evidence(tmp_path: Path) -> None:
    loop = Loop(600, "aten::add", "cpu_op")
    paths = []
    for rank in range(2):
        path = tmp_path / f"rank{rank}.json"
        path.write_text(json.dumps({"distributedInfo": {"rank": rank, "world_size": 2}, "traceEvents": loop.events}))
        paths.append(path)
    evidence = TraceEvidence(read_trace(paths[0]), load_ranks(paths, jobs=1))
    assert [each.rank for each in evidence.ranks.rows] == [0, 1]
    document = build_trace_document(evidence, "t", "slowprobe analyze t")
    assert any("No straggler is named" in note for note in document.notes)

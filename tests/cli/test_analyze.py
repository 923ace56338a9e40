"""`slowprobe analyze`: from trace files to report.html and report.json."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from slowprobe.cli import group
from slowprobe.cli.progress import Progress
from slowprobe.diagnose.finding import Bottleneck
from slowprobe.errors import SlowprobeError
from slowprobe.report import json as report_json
from slowprobe.report.document import Document

SHARED = Path(os.environ.get("SLOWPROBE_TRACES") or Path(__file__).parents[3] / "shared" / "traces")


def real(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"no real trace {name}: ../shared/traces is absent, and SLOWPROBE_TRACES names no such folder")
    return SHARED / name


def run(*arguments: object, out: Path) -> tuple[Result, Document]:
    done = CliRunner().invoke(group, ["analyze", *map(str, arguments), "--out", str(out)])
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert (out / "report.html").stat().st_size > 10_000
    return done, report_json.load((out / "report.json").read_bytes())


def row(name: str, ts: float, dur: float, cat: str = "cpu_op", tid: int = 7, **args: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "pid": 7, "tid": tid, "ts": ts, "dur": dur, "args": args}


def device_trace(path: Path, rank: int | None = None, size: int = 2, late: float = 0.0, steps: int = 4) -> Path:
    """Steps of 1 ms: a matmul that ends after 300 µs (and `late`), then an all-reduce until 800 µs, then idle."""
    zero = 1_700_000_000_000_000.0
    events = []
    for step in range(steps):
        at = zero + step * 1000
        events += [
            row(f"ProfilerStep#{step}", at, 1000, "user_annotation"),
            row("cudaLaunchKernel", at + 5, 3, "cuda_runtime", correlation=step * 2 + 1),
            row("ampere_sgemm_nn", at + 10, 290 + late, "kernel", 70, stream=7, device=0, correlation=step * 2 + 1),
            row("nccl:all_reduce", at + 20, 20, "user_annotation"),
            row("cudaLaunchKernel", at + 25, 3, "cuda_runtime", correlation=step * 2 + 2),
            row(
                "ncclDevKernel_AllReduce_Sum_f32", at + 300 + late, 500 - late, "kernel", 90,
                stream=9, device=0, correlation=step * 2 + 2,
            ),
        ]  # fmt: skip
    info = {} if rank is None else {"distributedInfo": {"backend": "nccl", "rank": rank, "world_size": size}}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schemaVersion": 1, **info, "traceEvents": events})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_one_trace(tmp_path: Path) -> None:
    done, document = run(device_trace(tmp_path / "job.pt.trace.json"), out=tmp_path / "out")
    assert document.run.script == "job" and document.run.started_at == "2023-11-14T22:13:20+00:00"
    assert document.run.torch == document.run.python == "not recorded" and document.run.exit_code is None
    assert document.steps is not None and (document.steps.count, document.steps.unit) == (4, "ProfilerStep")
    assert document.verdict.bottleneck == "communication"
    # Each step holds 290 µs of computing, 500 of communication and 210 idle; the span ends with the last kernel.
    assert document.device is not None
    assert document.device.span_us == pytest.approx(4000 - 210)
    assert document.device.exposed_communication_us == pytest.approx(2000)
    assert document.verdict.share == pytest.approx(2000 / 4000)
    assert sum(bucket.seconds for bucket in document.time.buckets) == pytest.approx(document.time.wall_s, abs=1e-6)
    assert {outcome.status for outcome in document.outcomes.values()} <= {"not-checked", "passed", "not-applicable"}
    assert "The device communicates" in done.stderr and f"Report: {tmp_path / 'out' / 'report.html'}" in done.stderr


def test_the_ranks_of_a_folder_are_compared(tmp_path: Path) -> None:
    for rank in range(2):
        device_trace(
            tmp_path / "traces" / f"worker{rank}.170000000{rank}.pt.trace.json.gz", rank, late=150.0 * rank, steps=8
        )
    (tmp_path / "traces" / "metrics.json").write_text('{"loss": 3}')
    _, document = run(tmp_path / "traces", out=tmp_path / "out")
    assert document.run.world_size == 2 and document.run.script == "traces"
    assert document.device is not None and document.device.ranks is not None
    ranks = document.device.ranks
    assert [rank.rank for rank in ranks.ranks] == [0, 1] and ranks.straggler == 1
    assert document.device.rank == 1, "the device of the straggler is shown"
    assert [rank.waiting_us for rank in ranks.ranks] == [8 * 150.0, 0.0]


def test_a_folder_with_another_recording_says_so(tmp_path: Path) -> None:
    for rank in range(2):
        device_trace(tmp_path / "traces" / f"rank{rank}.json", rank)
    device_trace(tmp_path / "traces" / "alone.json")
    _, document = run(tmp_path / "traces", out=tmp_path / "out")
    assert any("another recording" in note and "alone.json" in note for note in document.notes)


def test_a_rank_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    for rank in range(3):
        device_trace(tmp_path / "traces" / f"rank{rank}.json", rank, 3)
    (tmp_path / "traces" / "rank1.json").write_text(
        '{"schemaVersion": 1, "distributedInfo": {"rank": 1, "world_size": 3}}'
    )
    _, document = run(tmp_path / "traces", out=tmp_path / "out")
    assert document.device is not None and document.device.ranks is not None
    assert [rank.rank for rank in document.device.ranks.ranks] == [0, 2]
    assert any("not read" in note and "rank1.json" in note for note in document.notes)


def test_operators_without_a_device(tmp_path: Path) -> None:
    events = []
    for step in range(3):
        events.append(row(f"ProfilerStep#{step}", step * 1000, 1000, "user_annotation"))
        events += [row("aten::mm", step * 1000 + call * 100, 95) for call in range(9)]
    (tmp_path / "cpu.json").write_text(json.dumps({"traceEvents": events}))
    _, document = run(tmp_path / "cpu.json", out=tmp_path / "out")
    assert document.device is None and document.window is not None and document.window.ops_per_step == 9
    assert document.steps is not None and document.steps.median_ms == pytest.approx(1.0)
    assert document.run.started_at == "not recorded", "microseconds since boot are no date"
    assert sum(bucket.seconds for bucket in document.time.buckets) == pytest.approx(3e-3, abs=1e-7)


def test_ranks_without_a_device(tmp_path: Path) -> None:
    for rank in range(2):
        info = {"rank": rank, "world_size": 2, "backend": "gloo"}
        path = tmp_path / "traces" / f"rank{rank}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"distributedInfo": info, "traceEvents": [row("aten::mm", 5.0, 95)]}))
    _, document = run(tmp_path / "traces", out=tmp_path / "out")
    assert document.run.world_size == 2 and document.device is None and document.window is not None
    assert any("No trace shows anything that ran on a device" in note for note in document.notes)


def test_without_marks_the_reader_is_told_what_to_do(tmp_path: Path) -> None:
    path = device_trace(tmp_path / "t.json")
    data = json.loads(path.read_text())
    data["traceEvents"] = [each for each in data["traceEvents"] if "ProfilerStep" not in each["name"]]
    path.write_text(json.dumps(data))
    _, document = run(path, out=tmp_path / "out")
    assert document.steps is None and document.series is None
    assert document.verdict.bottleneck == "communication" and "prof.step()" in document.advice[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot find"),
        (b"", "empty"),
        (b"hello", "not a trace"),
        (b'{"loss": 1}', "not a trace"),
        (b"\x00\x01\xff", "not a trace"),
    ],
)
def test_what_is_no_trace_is_one_line_and_exit_2(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "t.json"
    if content is not None:
        path.write_bytes(content)
    command = [sys.executable, "-m", "slowprobe", "analyze", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("slowprobe: ") and says in done.stderr
    assert not (tmp_path / "reports").exists()


def test_an_empty_folder_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"batch": 3}')
    done = CliRunner().invoke(group, ["analyze", str(tmp_path)])
    assert isinstance(done.exception, SlowprobeError) and done.exception.exit_code == 2
    assert "no traces in" in str(done.exception) and "\n" not in str(done.exception)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(
        group, ["analyze", str(device_trace(tmp_path / "t.json")), "--out", str(tmp_path / "file" / "x")]
    )
    assert isinstance(done.exception, SlowprobeError) and "cannot write the report" in str(done.exception)


def test_the_default_folder_is_named_after_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = device_trace(tmp_path / "worker0.1700000001.pt.trace.json")
    assert CliRunner().invoke(group, ["analyze", str(path)]).exit_code == 0
    (folder,) = (tmp_path / "reports").iterdir()
    assert folder.name.startswith("worker0-1700000001-") and (folder / "report.json").is_file()


def test_the_same_trace_gives_the_same_report(tmp_path: Path) -> None:
    path = device_trace(tmp_path / "t.json")
    run(path, out=tmp_path / "one")
    run(path, out=tmp_path / "two")
    assert (tmp_path / "one" / "report.html").read_bytes() == (tmp_path / "two" / "report.html").read_bytes()


def test_needs_no_torch(tmp_path: Path) -> None:
    code = (
        f"import sys, slowprobe.cli as c\ntry: c.main(['analyze', {str(device_trace(tmp_path / 't.json'))!r}, '--out', "
        f"{str(tmp_path / 'out')!r}])\nexcept SystemExit: pass\nprint('torch' in sys.modules, 'rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"


def test_the_bar_is_drawn_only_for_long_work_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import time

    with Progress(2, after_s=0.0) as bar:
        bar.stage("Reading")
        time.sleep(0.05)
    assert capsys.readouterr().err == "", "stderr is no terminal here"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(2, after_s=30.0) as bar:
        bar.stage("Reading")
        bar.done()
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TERM", "xterm")
    with Progress(2, after_s=0.0) as bar:
        bar.stage("Reading t.json")
        bar.part(1, 2)
        time.sleep(0.5)
        bar.done()
    assert "Reading t.json" in capsys.readouterr().err


REAL = {
    "v100_resnet50_workers0": "input",
    "v100_resnet50_cold_no_markers": None,
    "hta_a100_alexnet_cudasync.json.gz": None,
    "hta_mi250_minitoy_train.json.gz": None,
    "hta_cpu_only_gloo_r34.json.gz": None,
    "h100_sync_events_after.pt.trace.json": None,
    "tl_mi300x_torchcompile_triton.json.gz": None,
    "tl_h100_qwen15_05b.json.gz": None,
    "dlrm_8rank": None,
    "sampled_2of128": None,
}


@pytest.mark.parametrize(("name", "bottleneck"), REAL.items(), ids=list(REAL))
def test_real_traces(tmp_path: Path, name: str, bottleneck: str | None) -> None:
    _, document = run(real(name), out=tmp_path)
    assert document.verdict.bottleneck in get_args(Bottleneck)
    assert bottleneck is None or document.verdict.bottleneck == bottleneck
    assert document.time.wall_s > 0
    assert sum(bucket.seconds for bucket in document.time.buckets) == pytest.approx(document.time.wall_s, rel=1e-3)
    assert not any(outcome.status == "error" for outcome in document.outcomes.values())


def test_input_wait_as_the_tensorboard_plugin_sees_it(tmp_path: Path) -> None:
    """It says 33 % of the step for DataLoader; it counts the host's time, and the device waits a little beyond."""
    _, document = run(real("v100_resnet50_workers0"), out=tmp_path)
    assert document.verdict.bottleneck == "input"
    waiting = [bucket.share for bucket in document.time.buckets if bucket.id == "data_wait" and bucket.scope == "step"]
    assert sum(waiting) == pytest.approx(0.33, abs=0.02)
    assert document.findings[0].rule == "input-wait"
    assert document.findings[0].evidence["device idle for want of data"] == pytest.approx(0.33, abs=0.02)
    assert document.steps is not None and document.steps.count == 6


def test_precision_is_the_finding_where_input_is_fine(tmp_path: Path) -> None:
    """ResNet-50 in float32 on a V100 with four workers: no kernel uses its tensor cores."""
    _, document = run(real("v100_resnet50_workers4"), out=tmp_path)
    assert document.verdict.bottleneck == "precision"
    assert document.findings[0].rule == "no-amp"
    assert document.findings[0].evidence["on tensor cores"] == 0
    assert document.outcomes["input-wait"].status == "passed"

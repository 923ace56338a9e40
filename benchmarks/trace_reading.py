"""Reading traces: seconds and memory of a bare decode, of slowprobe, and of HolisticTraceAnalysis, on growing traces.

    python benchmarks/trace_reading.py [--rounds 3] [--repeats 1 3 9] [--hta "/path/to/python"] [--trace FILE]

The traces are a real one (54 MB of text), repeated with shifted times and fresh ids. Every figure is from a process of
its own; the contestants take turns, and the table shows medians. `--hta` is the interpreter of an environment that has
HolisticTraceAnalysis; without it, that row is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SHARED = Path(os.environ.get("SLOWPROBE_TRACES") or Path(__file__).parents[2] / "shared" / "traces")
TRACE = "hta_v100_2rank_r1.json.gz"

# Each prints the seconds of its work, imports left out.
DECODE = """
import gc, sys, time, msgspec
from slowprobe.trace.events import Event
class Document(msgspec.Struct):
    traceEvents: list[Event]
started = time.perf_counter()
gc.disable()
document = msgspec.json.decode(open(sys.argv[1], "rb").read(), type=Document)
print(time.perf_counter() - started)
"""
DECODE_TO_DICTS = """
import gc, sys, time, msgspec
started = time.perf_counter()
gc.disable()
document = msgspec.json.decode(open(sys.argv[1], "rb").read())
print(time.perf_counter() - started)
"""
READ = """
import sys, time
from pathlib import Path
from slowprobe.trace.reader import read_trace
started = time.perf_counter()
trace = read_trace(Path(sys.argv[1]))
print(time.perf_counter() - started)
"""
HTA = """
import logging, sys, time, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
from hta.trace_analysis import TraceAnalysis
started = time.perf_counter()
analysis = TraceAnalysis(trace_files={0: sys.argv[1]}, trace_dir="")
analysis.get_temporal_breakdown(visualize=False)
analysis.get_idle_time_breakdown(ranks=[0], visualize=False)
analysis.get_gpu_kernel_breakdown(visualize=False)
analysis.get_comm_comp_overlap(visualize=False)
print(time.perf_counter() - started)
"""


class Cost(NamedTuple):
    """What one process took."""

    work_s: float
    whole_s: float
    """With the start of the interpreter and the imports."""
    peak_mb: float
    """Of the process or, if that is more, of the largest one it waited for."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 3, 9])
    parser.add_argument("--hta", help="python of an environment with HolisticTraceAnalysis")
    parser.add_argument("--trace", type=Path, default=SHARED / TRACE)
    parser.add_argument("--build", nargs=2, metavar=("TIMES", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        build(arguments.trace, int(arguments.build[0]), Path(arguments.build[1]))
        return
    if not arguments.trace.exists():
        sys.exit(f"no trace {arguments.trace}: name one with --trace")
    print(f"{arguments.rounds} rounds; Python {platform.python_version()}, {os.cpu_count()} cores\n")
    with tempfile.TemporaryDirectory(prefix="trace-reading-") as folder:
        for times in arguments.repeats:
            measure(arguments.trace, times, Path(folder), arguments.rounds, arguments.hta)


def measure(trace: Path, times: int, folder: Path, rounds: int, hta: str | None) -> None:
    """All contestants on one size of trace, in turn."""
    path = folder / f"trace_{times}.json"
    # In a process of its own: a child's peak memory starts at what its parent had.
    command = [sys.executable, __file__, "--trace", str(trace), "--build", str(times), str(path)]
    subprocess.run(command, check=True)
    contestants: dict[str, Callable[[], Cost | None]] = {
        "msgspec decode, typed": lambda: run([sys.executable, "-c", DECODE, str(path)]),
        "msgspec decode, to dicts": lambda: run([sys.executable, "-c", DECODE_TO_DICTS, str(path)]),
        "slowprobe read_trace": lambda: run([sys.executable, "-c", READ, str(path)]),
    }
    if has_analyze():
        report = folder / "report"
        contestants["slowprobe analyze, report included"] = lambda: run(
            [sys.executable, "-m", "slowprobe", "analyze", str(path), "--out", str(report)]
        )
    if hta:
        contestants["HolisticTraceAnalysis"] = lambda: run([hta, "-c", HTA, str(path)])
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            cost = contestant()
            if cost is not None:
                costs[name].append(cost)
    print_table(path.stat().st_size / 1e6, costs)
    path.unlink()


def print_table(size_mb: float, costs: dict[str, list[Cost]]) -> None:
    """One size; ratios are to the typed decode."""
    print(f"**{size_mb:.0f} MB of text**\n")
    print("| | work s (range) | whole process s | peak memory MB | work / typed decode |")
    print("|---|---:|---:|---:|---:|")
    bare = statistics.median(cost.work_s for cost in costs["msgspec decode, typed"])
    for name, found in costs.items():
        if not found:
            print(f"| {name} | failed | | | |")
            continue
        work = [cost.work_s for cost in found]
        whole = statistics.median(cost.whole_s for cost in found)
        peak = statistics.median(cost.peak_mb for cost in found)
        middle = statistics.median(work)
        row = f"{middle:.2f} ({min(work):.2f} to {max(work):.2f}) | {whole:.2f} | {peak:,.0f} | {middle / bare:.2f}"
        print(f"| {name} | {row} |")
    print(flush=True)


def run(command: list[str]) -> Cost | None:
    """One process; None when it fails. Without seconds of its own on stdout, the whole process is its work."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        # As installed packages are: with their modules compiled. The first round compiles what is not.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        whole_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            last = (errors.read().strip().splitlines() or ["no message"])[-1]
            print(f"{command[0]} … {command[-1]}: {last}", file=sys.stderr)
            return None
        said = output.read().strip().splitlines()
    try:
        work_s = float(said[-1])
    except (IndexError, ValueError):
        work_s = whole_s
    return Cost(work_s, whole_s, usage.ru_maxrss * 1024 / 1e6)


def has_analyze() -> bool:
    """Whether this slowprobe has the command."""
    return not subprocess.run([sys.executable, "-m", "slowprobe", "analyze", "--help"], capture_output=True).returncode


SHIFTED = re.compile(
    rb'("ts": |"External id": |"correlation": |"Ev Idx": |"Python id": |"Python parent id": |"id": |ProfilerStep#)(\d+)'
)


def build(trace: Path, times: int, path: Path) -> None:
    """Writes a trace of the same events several times over, each time later and with ids of its own."""
    import gzip

    data = trace.read_bytes()
    text = gzip.decompress(data) if trace.suffix == ".gz" else data
    opening = re.search(rb'"traceEvents"\s*:\s*\[', text)
    assert opening is not None
    closing = text.rindex(b"]")
    body = text[opening.end() : closing].strip()
    largest: dict[bytes, int] = {}
    for key, number in SHIFTED.findall(body):
        largest[key] = max(largest.get(key, 0), int(number))
    events = [event for event in json.loads(text)["traceEvents"] if event["ph"] == "X"]
    end = max(event["ts"] + event.get("dur", 0) for event in events)
    stride = {key: number + 1 for key, number in largest.items()}
    stride[b'"ts": '] = int(end - min(event["ts"] for event in events)) + 1000
    with path.open("wb") as file:
        file.write(text[: opening.end()])
        for number in range(times):
            file.write(b"," if number else b"")
            file.write(SHIFTED.sub(lambda match, n=number: shifted(match, n, stride), body))
        file.write(text[closing:])


def shifted(match: re.Match[bytes], number: int, stride: dict[bytes, int]) -> bytes:
    """A time or an id of this copy; 0 stays 0, since it means none."""
    key, value = match[1], int(match[2])
    return match[0] if not value else b"%b%d" % (key, value + number * stride[key])


if __name__ == "__main__":
    main()

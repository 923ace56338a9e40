"""What watching costs real loops: their own loop time under slowprobe and under torch.profiler always on, beside bare.

    python benchmarks/overhead_loops.py [--rounds 3] [--timeout 120] [--traceml "/path/to/traceml run"] [script ...]

The loops are the examples, which print the seconds of their loop. Ways take turns within each round; medians of the
ratio to the bare run of the same round. --traceml adds a command that gets the script's path appended. A run that is
not back after --timeout seconds is ended, with the processes it started: "no end" in the table.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from examples import EXAMPLES, LOOP

ALWAYS_ON = """
import runpy, sys, torch
path = sys.argv[1]
sys.argv = [path]
with torch.profiler.profile():
    runpy.run_path(path, run_name="__main__")
"""


def ways(folder: Path, traceml: str | None) -> dict[str, list[str]]:
    """The commands, to which the script is appended."""
    found = {
        "bare": [sys.executable],
        "slowprobe": [sys.executable, "-m", "slowprobe", "profile", "--out", str(folder)],
        "torch.profiler": [sys.executable, "-c", ALWAYS_ON],
    }
    if traceml:
        found["TraceML"] = shlex.split(traceml)
    return found


def loop_seconds(command: list[str], script: Path, timeout_s: float, folder: Path) -> float | None:
    """What the script printed last; None when it did not get there, infinity when it was not back in time.

    Run in `folder`, where TraceML leaves its logs, without a terminal, as a session of its own: launchers start
    processes that would outlive them.
    """
    with subprocess.Popen(
        [*command, str(script.resolve())],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return math.inf
    match = LOOP.search(output)
    return float(match[1]) if match else None


def cell(times: list[float | None], ratios: list[float]) -> str:
    """The median of the ratios and their range, or why there is none."""
    if ratios:
        return f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return "no end" if math.inf in times else "failed"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS")
    parser.add_argument("--traceml")
    parser.add_argument("scripts", nargs="*", type=Path)
    arguments = parser.parse_args()
    scripts = arguments.scripts or sorted([*EXAMPLES.glob("*_fixed.py"), EXAMPLES / "healthy.py"])
    with tempfile.TemporaryDirectory() as folder:
        commands = ways(Path(folder) / "run", arguments.traceml)
        others = [name for name in commands if name != "bare"]
        print("| loop | bare s | " + " | ".join(others) + " |")
        print("|---|---:|" + "---:|" * len(others))
        everything: dict[str, list[float]] = {name: [] for name in others}
        for script in scripts:
            times: dict[str, list[float | None]] = {name: [] for name in commands}
            for _ in range(arguments.rounds):
                for name, command in commands.items():
                    times[name].append(loop_seconds(command, script, arguments.timeout, Path(folder)))
            cells = []
            for name in others:
                ratios = [
                    a / b for a, b in zip(times[name], times["bare"], strict=True) if a and b and max(a, b) < math.inf
                ]
                everything[name] += [statistics.median(ratios)] if ratios else []
                cells.append(cell(times[name], ratios))
            bare = [value for value in times["bare"] if value and value < math.inf]
            shown = f"{statistics.median(bare):.2f}" if bare else cell(times["bare"], [])
            print(f"| {script.stem} | {shown} | " + " | ".join(cells) + " |", flush=True)
        medians = (f"{name} {statistics.median(ratios):.3f}" for name, ratios in everything.items() if ratios)
        print("\nmedian over the loops: " + ", ".join(medians))


if __name__ == "__main__":
    main()

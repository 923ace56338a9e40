"""What watching costs real loops: their own loop time under slowprobe and under torch.profiler always on, beside bare.

    python benchmarks/overhead_loops.py [--rounds 3] [--traceml "/path/to/traceml run"] [script ...]

The loops are the examples, which print the seconds of their loop. Ways take turns within each round; medians of the
ratio to the bare run of the same round. --traceml adds a command that gets the script's path appended.
"""

from __future__ import annotations

import argparse
import shlex
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


def loop_seconds(command: list[str], script: Path) -> float | None:
    """What the script printed last; None when it did not get there."""
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False)
    match = LOOP.search(done.stdout)
    return float(match[1]) if match else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
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
                    times[name].append(loop_seconds(command, script))
            cells = []
            for name in others:
                ratios = [a / b for a, b in zip(times[name], times["bare"], strict=True) if a and b]
                everything[name] += [statistics.median(ratios)] if ratios else []
                cells.append(f"{statistics.median(ratios):.3f}" if ratios else "failed")
            bare = statistics.median(value for value in times["bare"] if value)
            print(f"| {script.stem} | {bare:.2f} | " + " | ".join(cells) + " |", flush=True)
        medians = (f"{name} {statistics.median(ratios):.3f}" for name, ratios in everything.items() if ratios)
        print("\nmedian over the loops: " + ", ".join(medians))


if __name__ == "__main__":
    main()

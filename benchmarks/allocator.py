"""What loops gain from a malloc that keeps freed memory: bare runs, as they are and with glibc told so, interleaved.

    python benchmarks/allocator.py [--rounds 3] SCRIPT...

Beside the ratio: page faults that are gone then, of the whole process, and the time that each took. The scripts print
``loop_seconds=…``. Timings mean nothing with other work on the machine.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path
from statistics import median

from planted_runs import bare

LIMIT_S = 300.0  # a run
KEEPS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def loop(script: Path, changed: dict[str, str]) -> tuple[float, int]:
    """Seconds of the script's loop with these environment variables, and page faults of its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    outcome = bare(script, LIMIT_S, **changed)
    if "failure" in outcome:
        raise SystemExit(f"{script}: {outcome['failure']}")
    return float(outcome["seconds"]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before


def row(script: Path, rounds: int) -> str:
    """One script: medians over the pairs, and every pair's ratio."""
    ratios, gone, price_us = [], [], []
    for _ in range(rounds):
        as_it_is, kept = loop(script, {}), loop(script, KEEPS)
        ratios.append(as_it_is[0] / kept[0])
        gone.append(as_it_is[1] - kept[1])
        price_us.append((as_it_is[0] - kept[0]) / max(1, gone[-1]) * 1e6)
    pairs = ", ".join(f"{each:.2f}" for each in sorted(ratios))
    name = f"{script.parent.name}/{script.stem}"
    return f"| {name} | {median(ratios):.2f} | {pairs} | {median(gone):,.0f} | {median(price_us):.2f} |"


def main() -> None:
    """One row for each script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="+", type=Path, metavar="SCRIPT")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print("| loop | times as fast | each pair | faults gone | µs each |\n|---|---:|---|---:|---:|")
    for script in map(Path.resolve, asked.scripts):
        print(row(script, asked.rounds), flush=True)


if __name__ == "__main__":
    main()

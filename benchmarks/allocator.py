"""What loops gain from a malloc that keeps freed memory: bare runs, as they are and with glibc told so, interleaved.

    python benchmarks/allocator.py [--rounds 3] SCRIPT...

The scripts print ``loop_seconds=…``. Timings mean nothing with other work on the machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from planted_runs import bare

LIMIT_S = 300.0  # a run
KEEPS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def loop_s(script: Path, changed: dict[str, str]) -> float:
    """Seconds of the script's loop with these environment variables."""
    outcome = bare(script, LIMIT_S, **changed)
    if "failure" in outcome:
        raise SystemExit(f"{script}: {outcome['failure']}")
    return float(outcome["seconds"])


def main() -> None:
    """One row for each script: the median of the ratios, and all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="+", type=Path, metavar="SCRIPT")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print("| loop | times as fast | each pair |\n|---|---:|---:|")
    for script in map(Path.resolve, asked.scripts):
        ratios = sorted(loop_s(script, {}) / loop_s(script, KEEPS) for _ in range(asked.rounds))
        name = f"{script.parent.name}/{script.stem}"
        print(f"| {name} | {median(ratios):.2f} | {', '.join(f'{each:.2f}' for each in ratios)} |", flush=True)


if __name__ == "__main__":
    main()

"""What loops gain from a malloc that keeps freed memory: bare runs, as they are and with glibc told so, interleaved.

    python benchmarks/allocator.py [--rounds 3] SCRIPT...

The scripts print ``loop_seconds=…``. Timings mean nothing with other work on the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

KEEPS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def loop_s(script: Path, changed: dict[str, str]) -> float:
    """Seconds of the script's loop with these environment variables."""
    done = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, **changed}, capture_output=True, text=True, check=True
    )
    found = re.search(r"^loop_seconds=([0-9.]+)", done.stdout, re.M)
    if found is None:
        raise SystemExit(f"{script} does not print loop_seconds=…")
    return float(found[1])


def main() -> None:
    """One row for each script: the median of the ratios, and all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="+", type=Path, metavar="SCRIPT")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print("| loop | times as fast | each pair |\n|---|---:|---:|")
    for script in asked.scripts:
        ratios = sorted(loop_s(script, {}) / loop_s(script, KEEPS) for _ in range(asked.rounds))
        name = f"{script.parent.name}/{script.stem}"
        print(f"| {name} | {median(ratios):.2f} | {', '.join(f'{each:.2f}' for each in ratios)} |", flush=True)


if __name__ == "__main__":
    main()

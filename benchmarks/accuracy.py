"""Diagnoses against planted truth: each example's top finding, its line, the predicted and the measured speed-up.

    python benchmarks/accuracy.py [--rounds 3] [cause ...]

Truth is the ratio of the slow and the fixed twin's loop time, run bare and interleaved in the same call; the diagnosis
is that of `slowprobe profile` on the slow twin. Fixed twins and healthy.py must get no high or medium finding.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from examples import EXAMPLES, loop_seconds

MARK = re.compile(r"# slowprobe: rule=([a-z-]+)")


def planted(path: Path) -> tuple[str, set[int]]:
    """The rule id and the marked lines of a slow twin."""
    marks = [(match[1], n) for n, line in enumerate(path.read_text().splitlines(), 1) if (match := MARK.search(line))]
    return marks[0][0], {line for _, line in marks}


def profiled(path: Path, folder: Path) -> dict[str, Any]:
    """The report of one example, through the real command line."""
    script = str(path.relative_to(EXAMPLES.parent))
    command = [sys.executable, "-m", "slowprobe", "profile", "--out", str(folder), script]
    subprocess.run(command, check=True, cwd=EXAMPLES.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def serious(report: dict[str, Any]) -> list[str]:
    """High and medium findings."""
    return [finding["rule"] for finding in report["findings"] if finding["severity"] != "low"]


def examine(cause: str, rounds: int, folder: Path) -> tuple[list[str], float, bool, bool, bool]:
    """One row of the table; the error of the prediction; whether cause, line and the fixed twin's silence are right."""
    slow, fixed = EXAMPLES / f"{cause}_slow.py", EXAMPLES / f"{cause}_fixed.py"
    ratios = [loop_seconds(slow) / loop_seconds(fixed) for _ in range(rounds)]
    report, quiet = profiled(slow, folder / f"{cause}-slow"), profiled(fixed, folder / f"{cause}-fixed")
    rule, lines = planted(slow)
    top = report["findings"][0] if report["findings"] else None
    right = top is not None and top["rule"] == rule
    line = top is not None and bool(top["where"]) and top["where"][0]["line"] in lines
    speedup = top["saving"]["speedup"] if top else {"low": 1.0, "expected": 1.0, "high": 1.0}
    predicted = speedup["expected"]
    measured = statistics.median(ratios)
    error = predicted / measured - 1
    row = [
        cause,
        f"`{top['rule']}`" if top else "none",
        "yes" if right else f"no, `{rule}`",
        "yes" if line else f"no, {sorted(lines)} not {top['where'][0]['line'] if top and top['where'] else '-'}",
        f"{predicted:.2f} ({speedup['low']:.2f} to {speedup['high']:.2f})",
        f"{measured:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{error:+.0%}",
        f"{report['time']['unaccounted_share']:.2%}",
        ", ".join(serious(quiet)) or "none",
    ]
    return row, abs(error), right, line, not serious(quiet)


def keep_reports(runs: Path, target: Path) -> None:
    """Copy what people read out of the run folders."""
    for run in runs.iterdir():
        kept = target / run.name.replace("-", "_")
        kept.mkdir(parents=True, exist_ok=True)
        for name in ("report.html", "report.json"):
            shutil.copy(run / name, kept / name)


def main() -> None:
    """Print the table and what it adds up to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reports", type=Path, help="keep report.html and report.json of each example there")
    parser.add_argument("causes", nargs="*")
    arguments = parser.parse_args()
    causes = arguments.causes or sorted(path.stem.removesuffix("_slow") for path in EXAMPLES.glob("*_slow.py"))
    print(
        "| example | top finding | planted cause | line | predicted | measured | error | unaccounted | fixed: found |"
    )
    print("|---|---|---|---|---:|---:|---:|---:|---|")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for cause in causes:
            row, *result = examine(cause, arguments.rounds, Path(folder))
            results.append(result)
            print("| " + " | ".join(row) + " |", flush=True)
        healthy = serious(profiled(EXAMPLES / "healthy.py", Path(folder) / "healthy")) if not arguments.causes else []
        if arguments.reports:
            keep_reports(Path(folder), arguments.reports)
    errors = sorted(error for error, *_ in results)
    count = len(results)
    print(
        f"\n{sum(r[1] for r in results)} of {count} causes, {sum(r[2] for r in results)} of {count} lines; "
        f"error of the prediction: median {statistics.median(errors):.0%}, largest {errors[-1]:.0%}; "
        f"quiet fixed twins: {sum(r[3] for r in results)} of {count}; healthy.py: {', '.join(healthy) or 'nothing'}."
    )


if __name__ == "__main__":
    main()

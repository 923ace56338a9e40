"""How much the mending edit of each example saves: loop time slow and fixed, interleaved rounds, medians.

python benchmarks/examples.py [--rounds 5] [cause ...]
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LOOP = re.compile(r"^loop (\d+\.\d+) s$", re.MULTILINE)


def loop_seconds(path: Path) -> float:
    """Run one example in a process of its own and read the time it prints last."""
    output = subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
    match = LOOP.search(output)
    if match is None:
        raise SystemExit(f"{path.name} printed no loop time")
    return float(match[1])


def measure(causes: list[str], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Alternate slow and fixed so that a change in the machine's load hits both; odd rounds start with the fixed."""
    times: dict[str, list[tuple[float, float]]] = {cause: [] for cause in causes}
    for number in range(rounds):
        for cause in causes:
            order = ["slow", "fixed"] if number % 2 == 0 else ["fixed", "slow"]
            seconds = {kind: loop_seconds(EXAMPLES / f"{cause}_{kind}.py") for kind in order}
            times[cause].append((seconds["slow"], seconds["fixed"]))
            print(f"round {number + 1} {cause}: {seconds['slow']:.2f} s, {seconds['fixed']:.2f} s", file=sys.stderr)
    return times


def main() -> None:
    """Print the table that examples/README.md quotes."""
    known = sorted(path.stem.removesuffix("_slow") for path in EXAMPLES.glob("*_slow.py"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("causes", nargs="*", metavar="cause", help=f"one of {', '.join(known)}; all without")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if unknown := set(args.causes) - set(known):
        parser.error(f"no such example: {', '.join(sorted(unknown))}")

    times = measure(args.causes or known, args.rounds)
    print(f"{os.cpu_count()} CPU cores, {args.rounds} rounds, medians; ratio: median of the rounds' ratios (range)\n")
    print("| example | slow, s | fixed, s | ratio |")
    print("|---|---:|---:|---:|")
    for cause, pairs in times.items():
        slow, fixed = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = [before / after for before, after in pairs]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {cause} | {slow:.1f} | {fixed:.1f} | {statistics.median(ratios):.2f} ({spread}) |")


if __name__ == "__main__":
    main()

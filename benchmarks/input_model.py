"""The model of the input pipeline against real loops: recorded once at one setting, predicted at all others.

    python benchmarks/input_model.py [--quick] [--rounds 3] [--recorded 0,2]

The loops are those of input_loops.py. Each is recorded with `slowprobe profile` at each setting of --recorded, which
predicts the others; then all settings run bare, in turn within each round, medians. Steps use torch's default threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from input_loops import KINDS, STEPS

from slowprobe.diagnose.evidence import Evidence
from slowprobe.run.reader import load_run
from slowprobe.timeline.uncontended import CASES

SCRIPT = Path(__file__).with_name("input_loops.py")
WORKERS = (0, 1, 2, 4, 8)
QUICK = {"kinds": ("cpu", "io"), "steps": ("light",), "keep": (True,), "workers": (0, 1, 2, 4)}
FULL = {"kinds": KINDS, "steps": tuple(STEPS), "keep": (False, True), "workers": WORKERS}


def arguments_of(kind: str, step: str, keep: bool, workers: list[int]) -> list[str]:
    """The command line of input_loops.py."""
    return [kind, step, "--workers", ",".join(map(str, workers)), *(["--persistent"] if keep else [])]


def measured(kind: str, step: str, keep: bool, workers: list[int], rounds: int) -> dict[int, float]:
    """Seconds a step by number of workers, without slowprobe."""
    command = [sys.executable, str(SCRIPT), *arguments_of(kind, step, keep, workers), "--rounds", str(rounds)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {int(count): seconds[0] for count, seconds in json.loads(output).items()}


def predicted(
    kind: str, step: str, keep: bool, recorded: int, workers: list[int], folder: Path
) -> dict[int, list[float]]:
    """Seconds a step (low, expected, high) by number of workers, from one recording."""
    command = [sys.executable, "-m", "slowprobe", "profile", "--no-trace", "--out", str(folder), str(SCRIPT)]
    command += arguments_of(kind, step, keep, [recorded])
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (model,) = Evidence(load_run(folder)).loader_models.values()
    found = {}
    for count in workers:
        plan = replace(
            model.recorded, settings=replace(model.recorded.settings, num_workers=count), persistent_workers=keep
        )
        found[count] = [model.period_s(plan, case=case) for case in CASES]
    return found


def main() -> None:
    """Print the table and what it adds up to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two kinds, light steps, up to 4 workers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recorded", default="0,2", help="settings to record at, comma-separated")
    parser.add_argument("--keep-runs", type=Path, help="leave the run folders there")
    parser.add_argument("--only", nargs="*", default=[], help="of the kinds and steps, these")
    arguments = parser.parse_args()
    grid = QUICK if arguments.quick else FULL
    workers = list(grid["workers"])
    recordings = [int(count) for count in arguments.recorded.split(",")]
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}, {arguments.rounds} rounds; ms a step\n")
    print("| batches | step | workers kept | recorded at | num_workers | predicted (range) | measured | error |")
    print("|---|---|---|---:|---:|---:|---:|---:|", flush=True)
    errors: dict[int, list[float]] = {count: [] for count in recordings}
    inside = []
    with tempfile.TemporaryDirectory() as temporary:
        runs = arguments.keep_runs or Path(temporary)
        for kind, step, keep in itertools.product(grid["kinds"], grid["steps"], grid["keep"]):
            if arguments.only and not {kind, step} & set(arguments.only):
                continue
            forecasts = {
                count: predicted(kind, step, keep, count, workers, runs / f"{kind}-{step}-{keep}-{count}")
                for count in recordings
            }
            truth = measured(kind, step, keep, workers, arguments.rounds)
            for recorded, count in itertools.product(recordings, workers):
                if recorded == count:
                    continue
                low, expected, high = (1000 * seconds for seconds in forecasts[recorded][count])
                real = 1000 * truth[count]
                error = expected / real - 1
                errors[recorded].append(abs(error))
                inside.append(min(low, expected) <= real <= max(high, expected))
                row = f"| {kind} | {step} | {'yes' if keep else 'no'} | {recorded} | {count} "
                print(f"{row}| {expected:.1f} ({low:.1f} to {high:.1f}) | {real:.1f} | {error:+.0%} |", flush=True)
    print()
    everything = sorted(itertools.chain.from_iterable(errors.values()))
    for name, found in [
        *((f"recorded at {count}", sorted(each)) for count, each in errors.items()),
        ("all", everything),
    ]:
        ninth = found[min(len(found) - 1, int(0.9 * len(found)))]
        print(
            f"{name}: {len(found)} predictions, error: median {statistics.median(found):.0%}, "
            f"90th percentile {ninth:.0%}"
        )
    print(f"measured inside the predicted range: {sum(inside)} of {len(inside)}; load after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

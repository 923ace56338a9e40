"""The model of the input pipeline against real loops: recorded once at one setting, predicted at all others.

    python benchmarks/input_model.py [--quick] [--rounds 3] [--recorded 0,2]

The loops are those of input_loops.py. Each is recorded with `slowprobe profile` at each setting of --recorded, which
predicts the others; then all settings run bare, in turn within each round, medians. Steps use torch's default threads.
What other processes disturbed is repeated; where that did not help the row has a star and is left out of the sums.
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
import time
from dataclasses import replace
from pathlib import Path

from input_loops import DISTURBED, KINDS, STEPS

from slowprobe.diagnose.evidence import Evidence
from slowprobe.run.reader import load_run
from slowprobe.timeline.loader_model import LoaderModel
from slowprobe.timeline.uncontended import CASES

SCRIPT = Path(__file__).with_name("input_loops.py")
WORKERS = (0, 1, 2, 4, 8)
TRIES = 3
DISTURBED_RECORDING = 0.2  # slowprobe's own threads, and workers' collate and hand-over, count as others there
QUICK = {"kinds": ("cpu", "io"), "steps": ("light",), "keep": (True,), "workers": (0, 1, 2, 4)}
FULL = {"kinds": KINDS, "steps": tuple(STEPS), "keep": (False, True), "workers": WORKERS}


def arguments_of(kind: str, step: str, keep: bool, workers: list[int]) -> list[str]:
    """The command line of input_loops.py."""
    return [kind, step, "--workers", ",".join(map(str, workers)), *(["--persistent"] if keep else [])]


def measured(kind: str, step: str, keep: bool, workers: list[int], rounds: int) -> dict[int, tuple[float, float]]:
    """Seconds a step without slowprobe, and the cores' share of other processes, by number of workers."""
    command = [sys.executable, str(SCRIPT), *arguments_of(kind, step, keep, workers)]
    command += ["--rounds", str(rounds), "--tries", str(TRIES)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {int(count): (seconds, others) for count, (seconds, others) in json.loads(output).items()}


def recorded_model(kind: str, step: str, keep: bool, workers: int, folder: Path) -> tuple[LoaderModel, float]:
    """The model from one recording, and the cores' share of other processes in it."""
    models = []
    for number in range(TRIES):
        out = folder.with_name(f"{folder.name}-{number}")
        command = [sys.executable, "-m", "slowprobe", "profile", "--no-trace", "--out", str(out), str(SCRIPT)]
        command += arguments_of(kind, step, keep, [workers])
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        evidence = Evidence(load_run(out))
        others = evidence.neighbours.others if evidence.neighbours is not None else 0.0
        models.append((others, number, evidence))
        if others <= DISTURBED_RECORDING:
            break
        time.sleep(2)
    others, _, evidence = min(models)
    (model,) = evidence.loader_models.values()
    return model, others


def predictions(model: LoaderModel, workers: list[int], keep: bool) -> dict[int, list[float]]:
    """Seconds a step (low, expected, high) by number of workers."""
    found = {}
    for count in workers:
        settings = replace(model.recorded.settings, num_workers=count)
        plan = replace(model.recorded, settings=settings, persistent_workers=keep)
        found[count] = sorted(model.period_s(plan, case=case) for case in CASES)
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
            models = {
                count: recorded_model(kind, step, keep, count, runs / f"{kind}-{step}-{keep}-{count}")
                for count in recordings
            }
            forecasts = {count: predictions(model, workers, keep) for count, (model, _) in models.items()}
            truth = measured(kind, step, keep, workers, arguments.rounds)
            for recorded, count in itertools.product(recordings, workers):
                if recorded == count:
                    continue
                low, expected, high = (1000 * seconds for seconds in forecasts[recorded][count])
                real, others = 1000 * truth[count][0], truth[count][1]
                error = expected / real - 1
                quiet = others <= DISTURBED and models[recorded][1] <= DISTURBED_RECORDING
                if quiet:
                    errors[recorded].append(abs(error))
                    inside.append(low <= real <= high)
                star = "" if quiet else " *"
                row = f"| {kind} | {step} | {'yes' if keep else 'no'} | {recorded} | {count} | {expected:.1f} "
                print(f"{row}({low:.1f} to {high:.1f}) | {real:.1f} | {error:+.0%}{star} |", flush=True)
    print()
    everything = sorted(itertools.chain.from_iterable(errors.values()))
    for name, found in [
        *((f"recorded at {count}", sorted(each)) for count, each in errors.items()),
        ("all", everything),
    ]:
        if not found:
            print(f"{name}: nothing was measured undisturbed")
            continue
        ninth = found[min(len(found) - 1, int(0.9 * len(found)))]
        print(
            f"{name}: {len(found)} predictions, error: median {statistics.median(found):.0%}, "
            f"90th percentile {ninth:.0%}"
        )
    print(f"measured inside the predicted range: {sum(inside)} of {len(inside)}; load after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

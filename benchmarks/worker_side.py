"""What recording costs a loader's worker: items of 1 ms through five transforms, with and without it, turn about.

    python benchmarks/worker_side.py [--rounds 15] [--items 3000]

Each block is one pass of one worker, long enough that what happens once (19 ms for the memory map) hardly counts. CPU
is the worker process's own clock, all threads; wall is the loop's, which does nothing but wait. Also printed: one call
of a wrapped transform, and one reading of the worker's resources.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from slowprobe.capture.transform_timer import TransformTimer
from slowprobe.capture.worker import WorkerEntry
from slowprobe.capture.worker_resources import WorkerMeter

BATCH = 8
STEPS = 5
WARM_UP = 10  # batches of each block that are not counted: the worker's start
FILE_BYTES = 1_000_000


class Work:
    """A transform of `seconds` of Python, as many turns as that was in the parent."""

    def __init__(self, turns: int) -> None:
        self.turns = turns

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.turns):
            pass
        return x


class Steps:
    """Transforms in a row."""

    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x


class Items(Dataset[Any]):
    """Each item opens a file, goes through the transforms, and brings the worker's CPU clock."""

    def __init__(self, count: int, turns: int) -> None:
        self.count = count
        self.transform = Steps([Work(turns) for _ in range(STEPS - 1)])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        with open(__file__, "rb") as file:
            file.read(100)
        x = self.transform(torch.zeros(16))
        return x, torch.tensor(time.process_time(), dtype=torch.float64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--items", type=int, default=3000)
    arguments = parser.parse_args()
    items = Items(arguments.items, _turns(0.001 / (STEPS - 1)))
    single_costs()
    results: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            for recorded in (False, True) if number % 2 else (True, False):
                results[recorded].append(block(items, Path(folder) if recorded else None))
    print(f"items: {arguments.items} a block, {arguments.rounds} rounds, batches of {BATCH}, {STEPS} transforms each")
    for place, name in enumerate(("CPU", "wall")):
        bare, recorded = ([row[place] for row in results[key]] for key in (False, True))
        ratios = sorted(after / before for before, after in zip(bare, recorded, strict=True))
        quartiles = statistics.quantiles(ratios, n=4)
        print(
            f"{name}: {statistics.median(bare) * 1e6:.1f} µs an item bare, "
            f"{(statistics.median(recorded) - statistics.median(bare)) * 1e6:+.1f} µs recorded; ratio "
            f"{statistics.median(ratios):.4f} (quartiles {quartiles[0]:.4f} to {quartiles[2]:.4f})"
        )


def block(items: Items, folder: Path | None) -> tuple[float, float]:
    """CPU and wall seconds an item, of one pass by a fresh worker."""
    enter = None if folder is None else WorkerEntry(None, str(folder), 1, 1, 0, FILE_BYTES)
    loader = DataLoader(
        items, batch_size=BATCH, num_workers=1, worker_init_fn=enter, multiprocessing_context="fork", prefetch_factor=4
    )
    walls, cpus = [], []
    for _, clocks in loader:
        walls.append(time.perf_counter())
        cpus.append(float(clocks[-1]))
    made = (len(walls) - WARM_UP) * BATCH
    return (cpus[-1] - cpus[WARM_UP - 1]) / made, (walls[-1] - walls[WARM_UP - 1]) / made


def single_costs(calls: int = 100_000) -> None:
    """One call of a wrapped transform; one reading of the resources."""
    timer = TransformTimer()
    plain = Work(0)
    Timed = type("Timed", (Work,), {"__call__": timer.wrap(Work.__call__, "Timed", None)})
    timed = Timed(0)
    timer.begin(1)
    x = torch.zeros(1)

    def ns(transform: Any) -> float:
        best = float("inf")
        for _ in range(5):
            begin = time.perf_counter()
            for _ in range(calls):
                transform(x)
            best = min(best, time.perf_counter() - begin)
        return best / calls * 1e9

    bare = ns(plain)
    timer.reads_cpu = False
    usual = ns(timed)
    timer.reads_cpu = True
    dear = ns(timed)
    print(
        f"one call of a transform: {bare:.0f} ns bare, +{usual - bare:.0f} timed, +{dear - bare:.0f} with the CPU clock"
    )
    meter = WorkerMeter(0, None)
    begin = time.perf_counter()
    for _ in range(50):
        meter.read()
    print(f"one reading of resources: {(time.perf_counter() - begin) / 50 * 1e6:.0f} µs")


def _turns(seconds: float) -> int:
    turns = 1_000
    begin = time.perf_counter()
    Work(turns * 100)(torch.zeros(1))
    return max(1, round(seconds / ((time.perf_counter() - begin) / (turns * 100))))


if __name__ == "__main__":
    main()

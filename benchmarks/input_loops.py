"""Training loops that differ in how their batches are made: what benchmarks/input_model.py records and measures.

python benchmarks/input_loops.py cpu light --workers 0,2 [--persistent] [--rounds 3]   prints seconds a step, as JSON

A round in which other processes took more than a tenth of the cores is repeated, a few times.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
import warnings

import numpy as np
import psutil
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

KINDS = ("cpu", "io", "mixed", "bursty")
STEPS = {"light": 512, "heavy": 3072}  # width of the hidden layer
DISTURBED = 0.1  # of the cores taken by other processes: as much as the error that is looked for
SIDE = 48
BATCH = 8
BATCHES = 32  # a pass
PASSES = 3


class Images(Dataset):
    """Images that are read (sleep) and augmented (numpy on small arrays); what an item costs depends on its index."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __len__(self) -> int:
        return BATCH * BATCHES

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        rounds = {"cpu": 4, "io": 0, "mixed": 2, "bursty": 2}[self.kind]
        if self.kind == "bursty" and index // BATCH % 8 == 5:  # one batch in eight is six times as dear
            rounds *= 6
        if self.kind in ("io", "mixed"):
            time.sleep(0.002 if self.kind == "io" else 0.001)
        rng = np.random.default_rng(index)
        image = rng.random((SIDE, SIDE, 3), dtype=np.float32)
        for _ in range(rounds):
            image = image * np.float32(rng.uniform(0.8, 1.2)) + rng.normal(0, 0.02, image.shape).astype(np.float32)
            image = np.clip(image, 0.0, 1.0) ** np.float32(rng.uniform(0.8, 1.2))
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), index % 10


def seconds_a_step(kind: str, step: str, workers: int, persistent: bool) -> float:
    """Train for some passes, on torch's default number of threads."""
    torch.manual_seed(0)
    width = STEPS[step]
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    criterion = nn.CrossEntropyLoss()
    for _ in range(3):  # memory and threads are there before the clock starts
        criterion(model(torch.zeros(BATCH, 3, SIDE, SIDE)), torch.zeros(BATCH, dtype=torch.long)).backward()
    loader = DataLoader(
        Images(kind), batch_size=BATCH, num_workers=workers, persistent_workers=persistent and workers > 0
    )
    started = time.perf_counter()
    for _ in range(PASSES):
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
    return (time.perf_counter() - started) / (PASSES * BATCHES)


def undisturbed(kind: str, step: str, workers: int, persistent: bool, tries: int) -> tuple[float, float]:
    """Seconds a step, and the share of the cores that other processes took: of the quietest try."""
    found = []
    for _ in range(tries):
        machine, own, begun = _busy_s(), _own_s(), time.perf_counter()
        seconds = seconds_a_step(kind, step, workers, persistent)
        passed = (time.perf_counter() - begun) * (os.cpu_count() or 1)
        found.append((max(0.0, _busy_s() - machine - (_own_s() - own)) / passed, seconds))
        if found[-1][0] <= DISTURBED:
            break
        time.sleep(2)
    others, seconds = min(found)
    return seconds, others


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _own_s() -> float:
    """CPU time of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Measure the settings in turn, `--rounds` times; print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--workers", default="0", help="comma-separated")
    parser.add_argument("--persistent", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tries", type=int, default=1, help="of a round that was disturbed")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "This DataLoader will create")
    counts = [int(count) for count in arguments.workers.split(",")]
    times: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    for _ in range(arguments.rounds):
        for count in counts:
            settings = arguments.kind, arguments.step, count, arguments.persistent
            times[count].append(undisturbed(*settings, arguments.tries))
    medians = {count: [statistics.median(each) for each in zip(*rows, strict=True)] for count, rows in times.items()}
    print(json.dumps(medians))


if __name__ == "__main__":
    main()

"""Training loops that differ in how their batches are made: what benchmarks/input_model.py records and measures.

python benchmarks/input_loops.py cpu light --workers 0,2 [--persistent] [--rounds 3]   prints seconds a step, as JSON
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

KINDS = ("cpu", "io", "mixed", "bursty")
STEPS = {"light": 512, "heavy": 3072}  # width of the hidden layer
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


def main() -> None:
    """Measure the settings in turn, `--rounds` times; print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--workers", default="0", help="comma-separated")
    parser.add_argument("--persistent", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "This DataLoader will create")
    counts = [int(count) for count in arguments.workers.split(",")]
    times: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(arguments.rounds):
        for count in counts:
            times[count].append(seconds_a_step(arguments.kind, arguments.step, count, arguments.persistent))
    print(json.dumps({count: [statistics.median(each), min(each), max(each)] for count, each in times.items()}))


if __name__ == "__main__":
    main()

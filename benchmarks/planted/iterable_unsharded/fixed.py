"""A stream of log lines; each worker goes through all of it."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class Stream(IterableDataset):
    def __init__(self, lines):
        self.lines = lines

    def __iter__(self):
        info = get_worker_info()
        for number in range(info.id, self.lines, info.num_workers):
            rng = np.random.default_rng(number)
            time.sleep(0.0005)
            yield rng.random(30, dtype=np.float32), np.float32(number % 10)


def train(loader, inputs, passes=1, width=64):
    """The same small network for whatever the loader gives."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, fused=True)
    start = time.perf_counter()
    for _ in range(passes):
        for x, y in loader:
            loss = nn.functional.mse_loss(model(x).squeeze(1), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


def main():
    train(DataLoader(Stream(4_500), batch_size=20, num_workers=4), 30, width=2_000)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

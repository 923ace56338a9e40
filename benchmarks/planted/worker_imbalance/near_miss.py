"""Each worker has a file of its own, and one file is by far the largest."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

SIZES = [1_600, 2_000, 1_520, 1_680]


class Files(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        rng = np.random.default_rng(info.id)
        for _ in range(SIZES[info.id]):
            time.sleep(0.0005)
            yield rng.random(50, dtype=np.float32), np.float32(info.id)


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
    loader = DataLoader(Files(), batch_size=20, num_workers=len(SIZES))
    train(loader, 50, width=20_000)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()

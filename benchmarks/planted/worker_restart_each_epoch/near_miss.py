"""Few-shot episodes: each episode is a pass over a loader of its own small set."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Episode(Dataset):
    def __init__(self, size=36_000):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        rng = np.random.default_rng()
        return rng.random((8, 8), dtype=np.float32), np.float32(rng.random())


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


def episodes(batch_size=16):
    return DataLoader(Episode(), batch_size=batch_size, num_workers=2)


def main():
    train(episodes(), 64, width=1_000, passes=1)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

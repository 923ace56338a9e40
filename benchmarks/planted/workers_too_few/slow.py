"""One worker reads rows from a table server that takes its time."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class RemoteTable(Dataset):
    def __len__(self):
        return 5_000

    def fetch(self, key):
        time.sleep(0.001)
        return np.random.default_rng(key).random(40, dtype=np.float32)

    def __getitem__(self, index):
        row = self.fetch(time.time_ns())
        return row, row.sum()


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
    loader = DataLoader(RemoteTable(), batch_size=16, num_workers=1)  # slowprobe: rule=workers-too-few
    train(loader, 40, width=6_000)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()

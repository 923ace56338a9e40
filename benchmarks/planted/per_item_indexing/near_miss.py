"""A table of readings in memory, asked for row by row."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Readings(Dataset):
    def __init__(self, count, width):
        rng = np.random.default_rng(3)
        self.values, self.targets = rng.random((count, width), dtype=np.float32), rng.random(count, dtype=np.float32)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.values[index], self.targets[index]


def train(loader, inputs, passes=1, width=64, layers=0):
    """The same network for whatever the loader gives; its layers are too small to be worth a second thread."""
    hidden = [part for _ in range(layers) for part in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), *hidden, nn.Linear(width, 1))
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
    data = Readings(4_000, 2_500)
    train(DataLoader(data, batch_size=50, shuffle=True), 2_500, passes=7, width=128, layers=40)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

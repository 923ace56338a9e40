"""Sensor windows arrive as lists of numbers and become tensors in the collate function."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Windows(Dataset):
    def __init__(self, count=1_500, length=900):
        rng = np.random.default_rng(2)
        self.windows = [rng.random(length, dtype=np.float32) for _ in range(count)]
        self.levels = [float(window.mean()) for window in self.windows]

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, index):
        return self.windows[index], self.levels[index]


def together(items):
    windows = torch.from_numpy(np.stack([window for window, _ in items]))
    return windows, torch.tensor([level for _, level in items])


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
    train(DataLoader(Windows(), batch_size=50, shuffle=True, collate_fn=together), 900, passes=13)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

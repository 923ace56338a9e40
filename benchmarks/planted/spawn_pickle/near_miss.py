"""Spawned workers get a large vocabulary each, pickled."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Phrases(Dataset):
    def __init__(self, words):
        self.vocabulary = {f"word-{number}": [number, number % 97] for number in range(words)}

    def __len__(self):
        return 960

    def __getitem__(self, index):
        known = self.vocabulary[f"word-{index}"]
        return np.full(20, known[1], dtype=np.float32), np.float32(known[0] % 3)


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
    loader = DataLoader(
        Phrases(400_000),
        batch_size=16,
        num_workers=2,
        multiprocessing_context="fork",
    )
    train(loader, 20)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

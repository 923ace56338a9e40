"""The maps are unpacked once into one array, of which items are rows."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

ROWS, SIDE = 900, 72


def write(folder):
    """Each map as plain values, and packed."""
    rng = np.random.default_rng(4)
    for number in range(ROWS):
        values = rng.integers(0, 900, (SIDE // 2, SIDE // 2)).repeat(2, axis=0).repeat(2, axis=1).astype(np.float32)
        np.save(folder / f"{number}.npy", values)
        np.savez_compressed(folder / f"{number}.npz", values=values)


class Maps(Dataset):
    def __init__(self, folder):
        self.folder = folder
        self.maps = np.stack([np.load(folder / f"{number}.npy") for number in range(ROWS)])

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        values = self.maps[index]
        return values, np.array([values.mean(), values.std()], dtype=np.float32)


def main(folder):
    write(folder)
    loader = DataLoader(Maps(folder), batch_size=30, shuffle=True)
    model = nn.Sequential(nn.Linear(SIDE * SIDE, 128), nn.ReLU(), nn.Linear(128, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-7, fused=True)
    start = time.perf_counter()
    for _ in range(10):
        for values, target in loader:
            loss = nn.functional.mse_loss(model(values.flatten(1)), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))

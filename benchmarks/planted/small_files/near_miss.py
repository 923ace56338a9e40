"""A picture, its label and its mask are three files each, read by one worker."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


def write(folder, count):
    rng = np.random.default_rng(4)
    for number in range(count):
        (folder / f"{number}.raw").write_bytes(rng.bytes(256))
        (folder / f"{number}.mask").write_bytes(rng.bytes(32))
        (folder / f"{number}.label").write_text(str(rng.random()))


class Pictures(Dataset):
    def __init__(self, folder, count):
        self.folder, self.count = folder, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        with open(self.folder / f"{index}.raw", "rb") as file:
            pixels = np.frombuffer(file.read(), dtype=np.uint8)
        with open(self.folder / f"{index}.mask", "rb") as file:
            mask = np.frombuffer(file.read(), dtype=np.uint8)
        with open(self.folder / f"{index}.label") as file:
            label = float(file.read())
        return np.concatenate((pixels, mask)).astype(np.float32), np.float32(label)


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
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), 4_000)
        loader = DataLoader(
            Pictures(Path(name), 4_000), batch_size=64, shuffle=True, num_workers=1, persistent_workers=True
        )
        train(loader, 288, passes=4, width=8_000)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

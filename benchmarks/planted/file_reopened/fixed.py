"""A compressed archive of all samples is loaded again for each of them."""

import tempfile
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Archive(Dataset):
    def __init__(self, path, count):
        with np.load(path) as archive:
            self.samples = archive["samples"]
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        sample = self.samples[index]
        return sample, sample.max()


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
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez_compressed(file, samples=np.random.default_rng(5).random((600, 100), dtype=np.float32))
        file.flush()
        train(DataLoader(Archive(file.name, 600), batch_size=12, shuffle=True), 100, passes=6)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

"""Large records, read from a disk whose cache is dropped (as for data larger than memory)."""

import os
import tempfile
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

RECORD, COUNT = 4_000_000, 60


class Records(Dataset):
    def __init__(self, path):
        self.path = path

    def __len__(self):
        return COUNT * 9

    def __getitem__(self, index):
        file = os.open(self.path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        data = os.pread(file, RECORD, index % COUNT * RECORD)  # slowprobe: rule=storage-bound
        os.close(file)
        values = np.frombuffer(data[:400], dtype=np.uint8).astype(np.float32)
        return values, values.mean()


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
    with tempfile.NamedTemporaryFile(dir=".") as file:
        for _ in range(COUNT):
            file.write(os.urandom(RECORD))
        file.flush()
        os.fsync(file.fileno())
        train(DataLoader(Records(file.name), batch_size=4, num_workers=2), 400)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

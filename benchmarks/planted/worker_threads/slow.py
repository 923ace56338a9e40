"""Workers whiten patches with NumPy, whose BLAS starts a thread a core in each of them."""

import os
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

CORES = os.cpu_count() or 1
SIZE = 320


class Whitened(Dataset):
    def __init__(self):
        self.mixing = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32) / SIZE

    def __len__(self):
        return 960

    def __getitem__(self, index):
        patch = np.random.default_rng(index).random((SIZE, SIZE), dtype=np.float32)
        return np.tanh(self.mixing @ patch)[:32, :32].copy()


def main():
    torch.set_num_threads(1)
    loader = DataLoader(Whitened(), batch_size=8, num_workers=2 * CORES)  # slowprobe: rule=worker-threads
    model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 6_000), nn.ReLU(), nn.Linear(6_000, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, fused=True)
    begin = time.perf_counter()
    for patches in loader:
        loss = model(patches).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()

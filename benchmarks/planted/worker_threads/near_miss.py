"""Workers with a pool of threads each, which wait for storage and compute nothing."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

CORES = os.cpu_count() or 1


def read_row(first):
    time.sleep(0.002)
    return np.full((8, 32), first / 20480, dtype=np.float32)


class Whitened(Dataset):
    def __len__(self):
        return 960

    def __getitem__(self, index):
        with ThreadPoolExecutor(4) as pool:
            rows = list(pool.map(read_row, range(32 * index, 32 * index + 32, 8)))
        return np.concatenate(rows)


def main():
    loader = DataLoader(Whitened(), batch_size=8, num_workers=2 * CORES)
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

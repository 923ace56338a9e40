"""Two workers that make sound mixtures while a convnet computes for longer; malloc keeps what is freed."""

import ctypes
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Mixtures(Dataset):
    def __len__(self):
        return 1_600

    def __getitem__(self, index):
        rng = np.random.default_rng(time.time_ns())
        tones = rng.uniform(5, 400, (4, 1))
        wave = np.sin(tones * np.linspace(0, 1, 1_000)).sum(0) + rng.normal(0, 0.1, 1_000)
        return wave.astype(np.float32)[None], np.float32(tones.mean() / 400)


def main():
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(-4, 0)  # M_MMAP_MAX
    libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD
    torch.manual_seed(7)
    loader = DataLoader(Mixtures(), batch_size=32, num_workers=2, persistent_workers=True)
    model = nn.Sequential(
        nn.Conv1d(1, 64, 9),
        nn.ReLU(),
        nn.Conv1d(64, 64, 9, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(64, 1),
    )
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    start = time.perf_counter()
    for wave, tone in loader:
        loss = nn.functional.mse_loss(model(wave).squeeze(1), tone)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()

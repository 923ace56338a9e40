"""Random spectra made by two workers that stay alive, and an early end when nothing gets better."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Spectra(Dataset):
    def __len__(self):
        return 1500

    def __getitem__(self, index):
        rng = np.random.default_rng()
        wave = np.sin(np.linspace(0, rng.uniform(50, 400), 1024)) + rng.normal(scale=0.2, size=1024)
        return np.abs(np.fft.rfft(wave))[:512].astype(np.float32), np.float32(wave.std())


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    loader = DataLoader(Spectra(), batch_size=50, shuffle=True, num_workers=2, persistent_workers=True)
    model = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9, fused=True)
    best, patience = float("inf"), 0
    begin = time.perf_counter()
    for epoch in range(14):
        total = 0.0
        for spectrum, spread in loader:
            loss = (model(spectrum).squeeze(1) - spread).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        patience = 0 if total < best else patience + 1
        best = min(best, total)
        print(epoch, round(total, 4))
        if patience >= 14:
            break
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

"""Keyword spotting: random shifts and noise, a log spectrogram, and a linear-plus-GRU classifier."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

RATE = 8000


class Utterances(Dataset):
    def __init__(self, count=1536):
        self.count = count
        self.clips = np.random.default_rng(0).normal(size=(64, RATE)).astype(np.float32)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng()
        clip = np.roll(self.clips[index % 64], rng.integers(0, 800))
        clip = clip * rng.uniform(0.5, 1.5) + rng.normal(scale=0.1, size=RATE)
        frames = np.lib.stride_tricks.sliding_window_view(clip, 256)[::64]
        spectrum = np.abs(np.fft.rfft(frames * np.hanning(256), axis=1)) ** 2
        return np.log1p(spectrum[:, :64]).astype(np.float32), index % 8


class Spotter(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(64, 48)
        self.gru = nn.GRU(48, 48, batch_first=True)
        self.out = nn.Linear(48, 8)

    def forward(self, spectra):
        pooled = spectra[:, :120].unflatten(1, (24, 5)).mean(2)
        _, last = self.gru(torch.relu(self.project(pooled)))
        return self.out(last[0])


def run():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    loader = DataLoader(Utterances(), batch_size=32, shuffle=True, num_workers=2, persistent_workers=True)
    spotter = Spotter()
    optimizer = torch.optim.Adam(spotter.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)
    criterion = nn.CrossEntropyLoss()
    started = time.perf_counter()
    for _ in range(6):
        for spectra, words in loader:
            optimizer.zero_grad()
            criterion(spotter(spectra), words).backward()
            optimizer.step()
        schedule.step()
    return time.perf_counter() - started


if __name__ == "__main__":
    print(f"loop_seconds={run():.4f}")

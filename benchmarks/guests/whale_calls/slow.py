"""Blue, fin or sei? Clips of a hydrophone become log spectrograms, and a small network names the whale."""

import argparse
import time

import numpy as np  # slowprobe: rule=worker-threads
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Hydrophone(Dataset):
    samples, window, bands = 24_576, 512, 64

    def __init__(self, clips):
        rng = np.random.default_rng(100)
        self.whale = rng.integers(0, 3, clips)
        self.pitch = 0.02 + 0.02 * self.whale + 0.015 * rng.random(clips)
        self.clock = np.arange(self.samples, dtype=np.float32)
        turn = 2 * np.pi / self.window * np.outer(np.arange(self.window), np.arange(self.window // 2))
        self.waves = (np.hanning(self.window)[:, None] * np.hstack([np.cos(turn), np.sin(turn)])).astype(np.float32)
        centre = np.linspace(0, 1, self.bands)[:, None] ** 2
        self.bank = np.maximum(0, 1 - 24 * abs(np.linspace(0, 1, self.window // 2) - centre)).astype(np.float32)

    def __len__(self):
        return len(self.whale)

    def __getitem__(self, i):
        clip = np.sin(np.float32(self.pitch[i]) * self.clock) + np.sin(1e-6 * self.clock**2)
        frames = np.lib.stride_tricks.sliding_window_view(clip, self.window)[:: self.window // 4]
        cosine, sine = np.split(frames @ self.waves, 2, axis=1)  # slowprobe: rule=worker-threads
        bins = self.bank @ (cosine**2 + sine**2).T  # slowprobe: rule=worker-threads
        return np.log1p(bins), self.whale[i]


class Ear(nn.Module):
    def __init__(self, bands=64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(bands, 96, 5, stride=2), nn.ReLU(), nn.Conv1d(96, 96, 5, stride=2), nn.ReLU()
        )
        self.head = nn.Linear(96, 3)

    def forward(self, bins):
        return self.head(self.net(bins).mean(2))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=640)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(100)
    loader = DataLoader(
        Hydrophone(args.clips),
        batch_size=args.batch,
        shuffle=True,
        num_workers=2,  # slowprobe: rule=worker-threads
        persistent_workers=True,
    )
    ear = Ear()
    optimizer = torch.optim.AdamW(ear.parameters(), lr=1e-3, fused=True)

    start = time.perf_counter()
    for epoch in range(args.epochs):
        heard = torch.zeros(())
        for bins, whale in loader:
            loss = F.cross_entropy(ear(bins), whale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            heard += loss.detach()
        print(f"epoch {epoch} loss {heard.item() / len(loader):.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

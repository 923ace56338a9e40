"""Rhythms of the heart: strips of ECG come block by block from the archive of a hospital far away."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

BATCH, SAMPLES, BLOCK = 64, 600, 8


class Archive(IterableDataset):
    def __init__(self, blocks):
        self.blocks = blocks

    def download(self, number):
        """One block; the line to the archive is what takes the time."""
        random = np.random.default_rng(number)
        rhythm = random.integers(0, 4, BLOCK * BATCH)
        beat = random.uniform(5, 7, len(rhythm)) + 4 * rhythm
        strips = np.sin(np.linspace(0, 6.28, SAMPLES)[None] * beat[:, None]) ** 15
        strips += random.normal(0, 0.3, strips.shape)
        time.sleep(0.07)
        return torch.from_numpy(strips.astype(np.float32)), torch.from_numpy(rhythm)

    def __iter__(self):
        for number in range(self.blocks):
            strips, rhythm = self.download(number)
            yield from zip(strips.split(BATCH), rhythm.split(BATCH))


class Cardiologist(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, 24, 9, stride=2, padding=4),
            nn.ReLU(),
            nn.Conv1d(24, 48, 7, stride=2, padding=3),
            nn.ReLU(),
            nn.Conv1d(48, 64, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
        )
        self.rhythm = nn.Linear(64, 4)

    def forward(self, strips):
        return self.rhythm(self.layers(strips[:, None]).flatten(1))


def main():
    torch.manual_seed(0)
    archive = Archive(blocks=28)
    loader = DataLoader(archive, batch_size=None, num_workers=1, prefetch_factor=10)
    model = Cardiologist()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    seen, right = 0, 0
    start = time.perf_counter()
    for number, (strips, rhythm) in enumerate(loader):
        scores = model(strips)
        loss = nn.functional.cross_entropy(scores, rhythm)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen, right = seen + len(rhythm), right + (scores.argmax(1) == rhythm).sum()
        if number % 72 == 71:
            print(f"{seen} strips, {right / seen:.1%} right")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

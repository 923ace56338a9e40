"""Which room was it? Short clicks are played into random rooms, and a network tells the rooms' size from the sound."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

LENGTH, TAIL = 6000, 1500


class Rooms(Dataset):
    """Every item is a new room and a new sound."""

    def __init__(self, count):
        self.count = count
        self.decay = np.linspace(0, 1, TAIL)

    def __len__(self):
        return self.count

    def dry(self, random):
        sound = np.zeros(LENGTH)
        sound[random.integers(0, LENGTH, 30)] = random.normal(size=30)
        return sound

    def __getitem__(self, number):
        random = np.random.default_rng([number, time.time_ns()])
        size = random.uniform(2, 30)
        room = random.normal(size=TAIL) * np.exp(-60 / size * self.decay)
        wet = np.convolve(self.dry(random), room)[:LENGTH]  # slowprobe: rule=slow-transform
        level = np.abs(wet).max() + 1e-9
        return torch.from_numpy((wet / level).astype(np.float32)), np.float32(size / 30)


def network():
    return nn.Sequential(
        nn.Unflatten(1, (1, LENGTH)),
        nn.Conv1d(1, 16, 64, stride=16),
        nn.ReLU(),
        nn.Conv1d(16, 32, 8, stride=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(96),
        nn.ReLU(),
        nn.Linear(96, 1),
    )


torch.manual_seed(0)
loader = DataLoader(Rooms(1200), batch_size=20, num_workers=2, persistent_workers=True, prefetch_factor=3)
model = network()
model(torch.zeros(1, LENGTH))
optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
start = time.perf_counter()
for epoch in range(3):
    for sound, size in loader:
        loss = (model(sound).squeeze(1) - size).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} off by {30 * loss.item():.2f} metres")
print(f"loop_seconds={time.perf_counter() - start:.4f}")

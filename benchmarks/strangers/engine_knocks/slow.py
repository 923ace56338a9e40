"""Does the engine knock? Short recordings, mixed with the noise of a workshop as they are made."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, get_worker_info

LENGTH = 1024


def workshop(seed, count=256, length=16_384):
    """Coloured noise, as a workshop has it."""
    noise = np.random.default_rng(seed).standard_normal((count, length), dtype=np.float32)
    colour = 1 / np.sqrt(1 + np.arange(length // 2 + 1))
    return np.fft.irfft(np.fft.rfft(noise) * colour).astype(np.float32)


class Engines(Dataset):
    def __init__(self, recordings):
        self.recordings = recordings
        self.noise = None

    def __len__(self):
        return self.recordings

    def __getitem__(self, n):
        rng = np.random.default_rng(n)
        knocks = int(rng.random() < 0.5)
        when = np.arange(LENGTH, dtype=np.float32)
        sound = np.sin(when * np.float32(rng.uniform(0.05, 0.2)))
        if knocks:
            sound += np.exp(-((when % 256) / 12)) * np.sin(when)
        bank = self.noise[n % len(self.noise)]
        begin = rng.integers(len(bank) - LENGTH)
        return sound + 3 * bank[begin : begin + LENGTH] / bank.std(), np.float32(knocks)


def open_workshop(worker):
    get_worker_info().dataset.noise = workshop(worker)


torch.manual_seed(9)
model = nn.Sequential(
    nn.Unflatten(1, (1, LENGTH)),
    nn.Conv1d(1, 16, 16, stride=4, padding=6),
    nn.ReLU(),
    nn.Conv1d(16, 32, 8, stride=2, padding=3),
    nn.ReLU(),
    nn.Conv1d(32, 48, 5, stride=2, padding=2),
    nn.ReLU(),
    nn.AdaptiveAvgPool1d(1),
    nn.Flatten(),
    nn.Linear(48, 1),
)

if __name__ == "__main__":
    engines = Engines(768)
    settings = {"batch_size": 32, "shuffle": True, "worker_init_fn": open_workshop}
    loader = DataLoader(engines, num_workers=2, **settings)  # slowprobe: rule=worker-restart-each-epoch
    optimizer = torch.optim.NAdam(model.parameters(), lr=2e-3)
    start = time.perf_counter()
    for epoch in range(18):
        for sound, knocks in loader:
            loss = nn.functional.binary_cross_entropy_with_logits(model(sound).squeeze(1), knocks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 6 == 5:
            print(f"epoch {epoch + 1}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")

"""Denoising of line scans; the clean target is a running median of the raw scan."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

LENGTH, REACH = 96, 5


class LineScans(Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        rng = np.random.default_rng()
        scan = np.sin(np.linspace(0, rng.uniform(5, 40), LENGTH)).astype(np.float32)
        scan += (rng.random(LENGTH) < 0.05) * rng.normal(scale=3, size=LENGTH).astype(np.float32)
        padded = np.pad(scan, REACH, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)
        clean = np.apply_along_axis(np.median, 1, windows)  # slowprobe: rule=slow-transform
        return torch.from_numpy(scan), torch.from_numpy(np.ascontiguousarray(clean, dtype=np.float32))


class Denoiser(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.rnn = nn.GRU(1, width, batch_first=True, bidirectional=True)
        self.noise = nn.Linear(2 * width, 1)

    def forward(self, scans):
        return scans - self.noise(self.rnn(scans[:, :, None])[0]).squeeze(2)


class Fit:
    def __init__(self, model, loader, optimizer):
        self.model, self.loader, self.optimizer = model, loader, optimizer
        self.history = []

    def __call__(self, epochs):
        for epoch in range(epochs):
            self.history.append(self.one_pass())
        return self.history

    def one_pass(self):
        total = 0.0
        for scans, clean in self.loader:
            loss = nn.functional.l1_loss(self.model(scans), clean)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.loader)


torch.manual_seed(0)
model = Denoiser(64)
fit = Fit(model, DataLoader(LineScans(2560), batch_size=32), torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True))
start = time.perf_counter()
print(fit(1))
print(f"loop_seconds={time.perf_counter() - start:.4f}")

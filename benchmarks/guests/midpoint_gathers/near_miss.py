"""Stacking velocities from gathers of seismic traces that lie scattered over the archive of a survey."""

import os
import tempfile
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

TRACES, SAMPLES, FOLD = 80_000, 1024, 24
TRACE_BYTES = 4 * SAMPLES


def shoot_survey(path):
    rng = np.random.default_rng(4)
    with open(path, "wb") as archive:
        for _ in range(TRACES // 2000):
            rng.standard_normal((2000, SAMPLES), dtype=np.float32).tofile(archive)
        archive.flush()
        os.fsync(archive.fileno())


class Gathers(Dataset):
    def __init__(self, path, count):
        rng = np.random.default_rng(5)
        self.path, self.archive = path, None
        self.rows = rng.integers(0, TRACES, (count, FOLD))
        self.velocity = rng.uniform(1.5, 4.5, count).astype(np.float32)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        if self.archive is None:
            self.archive = open(self.path, "rb", buffering=0)
        gather = np.empty((FOLD, SAMPLES), np.float32)
        for slot, row in enumerate(self.rows[i]):
            self.archive.seek(int(row) * TRACE_BYTES)
            gather[slot] = np.frombuffer(self.archive.read(TRACE_BYTES), np.float32)
        gather[:, 300] += self.velocity[i]
        return gather, self.velocity[i]


class Picker(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(FOLD, 32, 9, stride=4), nn.ReLU(), nn.Conv1d(32, 48, 9, stride=4), nn.ReLU(), nn.Flatten()
        )
        self.head = nn.Linear(48 * 62, 1)

    def forward(self, gather):
        return self.head(self.body(gather)).squeeze(1)


def main():
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "survey.f32")
        shoot_survey(path)
        loader = DataLoader(Gathers(path, 16 * 210), batch_size=16, num_workers=2)
        picker = Picker()
        optimizer = torch.optim.AdamW(picker.parameters(), 1e-3, fused=True)
        errors = []
        start = time.perf_counter()
        for gather, velocity in loader:
            loss = (picker(gather) - velocity).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            errors.append(loss.detach())
        seconds = time.perf_counter() - start
    print(f"{len(errors)} steps, error {torch.stack(errors[-20:]).mean():.3f} km/s")
    print(f"loop_seconds={seconds:.3f}")


if __name__ == "__main__":
    main()

"""Recordings of machines lie in one archive; a recurrent network tells a worn machine from a new one."""

import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

RECORDINGS, LENGTH, SENSORS = 480, 40, 24


def create(path: Path) -> None:
    rng = np.random.default_rng(7)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(RECORDINGS):
            recording = rng.normal(loc=number % 2 / 4, size=(LENGTH, SENSORS)).astype(np.float32)
            archive.writestr(f"machine/{number:05d}.f32", recording.tobytes())


class Recordings(Dataset):
    def __init__(self, path: Path):
        self.path = path
        self.archive = None

    def __len__(self):
        return RECORDINGS

    def __getitem__(self, number):
        with zipfile.ZipFile(self.path) as archive:  # slowprobe: rule=file-reopened
            raw = archive.read(f"machine/{number:05d}.f32")
        recording = np.frombuffer(raw, dtype=np.float32).reshape(LENGTH, SENSORS)
        shift = np.random.default_rng().normal(scale=0.05, size=SENSORS).astype(np.float32)
        return recording + shift, number % 2


class Wear(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(SENSORS, 128, batch_first=True)
        self.out = nn.Linear(128, 2)

    def forward(self, recordings):
        return self.out(self.rnn(recordings)[0].mean(1))


def train(path):
    torch.manual_seed(2)
    wear = Wear()
    optimizer = torch.optim.Adam(wear.parameters(), 1e-3, fused=True)
    loader = DataLoader(Recordings(path), batch_size=48, shuffle=True)
    t0 = time.perf_counter()
    for epoch in range(8):
        losses = []
        for recordings, worn in loader:
            loss = F.cross_entropy(wear(recordings), worn)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch} loss {sum(losses) / len(losses):.4f}")
    return time.perf_counter() - t0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        recordings = Path(name) / "recordings.zip"
        create(recordings)
        print(f"loop_seconds={train(recordings):.4f}")

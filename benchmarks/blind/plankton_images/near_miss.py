"""Plankton under the microscope: each picture is drawn, blurred and cut out anew, then a small network names it."""

import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

KINDS = 6


class Plankton(Dataset):
    def __init__(self, count):
        self.count = count
        self.rows, self.columns = np.mgrid[-1:1:96j, -1:1:96j].astype(np.float32)

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        random = np.random.default_rng(number + int(torch.randint(0, 1 << 30, ()).item()))
        kind = number % KINDS
        picture = np.zeros_like(self.rows)
        for _ in range(1):
            y, x = random.uniform(-0.5, 0.5, 2)
            angle = np.arctan2(self.rows - y, self.columns - x)
            radius = np.hypot(self.rows - y, self.columns - x)
            picture += np.exp(-20 * (radius - 0.25 - 0.05 * np.cos((kind + 2) * angle)) ** 2)
        picture += 0.2 * random.standard_normal(picture.shape, np.float32)
        top, left = random.integers(0, 33, 2)
        return picture[None, top : top + 64, left : left + 64].astype(np.float32), kind


class Namer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(1, 8, 5, stride=4)
        self.hidden = torch.nn.Linear(8 * 15 * 15, 3000)
        self.last = torch.nn.Linear(3000, KINDS)

    def forward(self, picture):
        return self.last(F.relu(self.hidden(F.relu(self.first(picture)).flatten(1))))


if __name__ == "__main__":
    torch.manual_seed(1)
    config = {
        "batch_size": 16,
        "shuffle": True,
        "num_workers": 1,
        "persistent_workers": True,
        "drop_last": True,
    }
    loader = DataLoader(Plankton(1600), **config)
    namer = Namer()
    optimizer = torch.optim.AdamW(namer.parameters(), lr=1e-3, fused=True)
    started = time.perf_counter()
    for epoch in range(2):
        right = torch.zeros(())
        for pictures, kinds in loader:
            scores = namer(pictures)
            loss = F.cross_entropy(scores, kinds)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right += (scores.argmax(1) == kinds).float().mean()
        print(f"epoch {epoch}: {right.item() / len(loader):.3f} right")
    print(f"loop_seconds={time.perf_counter() - started:.4f}")

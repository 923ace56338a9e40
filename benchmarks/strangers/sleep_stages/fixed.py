"""Stages of sleep from thirty seconds of EEG and EOG."""

import pathlib
import tempfile
import time

import numpy as np
import torch
from torch import nn
from torch.utils import data

import nights


class Epochs30s(data.Dataset):
    def __init__(self, root):
        packed = np.load(pathlib.Path(root) / "nights.npz")
        self.signals, self.stages = packed["signals"], packed["stages"].tolist()

    def __len__(self):
        return len(self.stages)

    def __getitem__(self, item):
        return self.signals[item], self.stages[item]


class SleepNet(nn.Module):
    def __init__(self, stages=5):
        super().__init__()
        self.c1 = nn.Conv1d(2, 48, 7, stride=2, padding=3)
        self.c2 = nn.Conv1d(48, 64, 5, stride=2, padding=2)
        self.c3 = nn.Conv1d(64, 96, 3, padding=1)
        self.fc = nn.Linear(96, stages)

    def forward(self, x):
        x = torch.relu(self.c1(x))
        x = torch.relu(self.c2(x))
        x = torch.relu(self.c3(x))
        return self.fc(x.mean(-1))


def run(root, num_epochs=14):
    torch.manual_seed(30)
    loader = data.DataLoader(Epochs30s(root), batch_size=32, shuffle=True, drop_last=True)
    net = SleepNet()
    optim = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, num_epochs)
    t_start = time.perf_counter()
    for n in range(num_epochs):
        hits = 0
        for signals, stage in loader:
            out = net(signals)
            loss = nn.functional.cross_entropy(out, stage)
            optim.zero_grad()
            loss.backward()
            optim.step()
            hits += (out.argmax(1) == stage).sum().item()
        schedule.step()
        print(f"[{n + 1}/{num_epochs}] accuracy {hits / (32 * len(loader)):.3f}")
    return time.perf_counter() - t_start


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as root:
        nights.write_packed(root)
        seconds = run(root)
    print(f"loop_seconds={seconds:.3f}")

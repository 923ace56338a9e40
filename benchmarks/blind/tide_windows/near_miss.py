"""Tides ten hours ahead, from windows over a gauge's record that was read from a text file."""

import io
import math
import random
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

WINDOW, AHEAD = 168, 10


def gauge_file(hours=30_000):
    lines = (
        f"{math.sin(h / 1.98) + 0.4 * math.sin(h / 3.8):.4f},{random.gauss(0, 0.5):.4f},{h % 24},{h % 168}"
        for h in range(hours)
    )
    return io.StringIO("\n".join(lines))


class Gauge(Dataset):
    def __init__(self, file):
        self.levels = torch.tensor([[float(cell) for cell in line.split(",")] for line in file])

    def __len__(self):
        return len(self.levels) - WINDOW - AHEAD

    def __getitem__(self, hour):
        past = self.levels[hour : hour + WINDOW]
        return past, torch.tensor([hour % 24 / 24, float(self.levels[hour + WINDOW + AHEAD - 1, 0])])


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.summary = nn.Conv1d(4, 48, 16, stride=8)
        self.answer = nn.Sequential(nn.Flatten(), nn.LazyLinear(256), nn.ReLU(), nn.Linear(256, 1), nn.Flatten(0))

    def forward(self, past):
        return self.answer(torch.relu(self.summary(past.transpose(1, 2))))


def main():
    random.seed(0)
    torch.manual_seed(0)
    gauge = Gauge(gauge_file())
    picks = torch.utils.data.RandomSampler(gauge, num_samples=64 * 400)
    loader = DataLoader(gauge, batch_size=64, sampler=picks, num_workers=1)
    model = Forecaster()
    model(torch.zeros(1, WINDOW, 4))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    begin = time.perf_counter()
    for number, (past, level) in enumerate(loader):
        loss = nn.functional.mse_loss(model(past), level[:, 1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if number % 150 == 0:
            print(f"batch {number}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

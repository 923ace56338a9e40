"""Taxi fares from a table that fits into memory: ten numbers, two categories, one target."""

import time

import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, random_split


class Fare(nn.Module):
    def __init__(self):
        super().__init__()
        self.zone, self.hour = nn.Embedding(260, 24), nn.Embedding(24, 8)
        self.net = nn.Sequential(nn.Linear(42, 384), nn.GELU(), nn.Linear(384, 384), nn.GELU(), nn.Linear(384, 1))

    def forward(self, numbers, zone, hour):
        return self.net(torch.cat([numbers, self.zone(zone), self.hour(hour)], 1)).squeeze(1)


def make_table(rows):
    numbers = torch.randn(rows, 10)
    zone, hour = torch.randint(0, 260, (rows,)), torch.randint(0, 24, (rows,))
    return numbers, zone, hour, numbers[:, 0].exp() + 0.01 * zone + (hour - 12).abs() / 6


class Batches:
    """Shuffled rows, a batch at a time."""

    def __init__(self, subset, size):
        self.tensors, self.rows, self.size = subset.dataset.tensors, torch.tensor(subset.indices), size

    def __iter__(self):
        order = self.rows[torch.randperm(len(self.rows))]
        for rows in order.split(self.size):
            if len(rows) == self.size:
                yield tuple(tensor[rows] for tensor in self.tensors)


def get_batches(train_set, size):
    return Batches(train_set, size)


def main(epochs=3, batch_size=768):
    torch.manual_seed(0)
    rides = TensorDataset(*make_table(80_000))
    train_set, _ = random_split(rides, [72_000, 8_000])
    batches = get_batches(train_set, batch_size)
    model = Fare()
    opt = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    criterion = nn.SmoothL1Loss()
    t0 = time.perf_counter()
    for ep in range(epochs):
        for numbers, zone, hour, fare in batches:
            loss = criterion(model(numbers, zone, hour), fare)
            opt.zero_grad()
            loss.backward()
            opt.step()
        print("epoch", ep, "loss", round(loss.item(), 4))
    print(f"loop_seconds={time.perf_counter() - t0:.4f}")


if __name__ == "__main__":
    main()

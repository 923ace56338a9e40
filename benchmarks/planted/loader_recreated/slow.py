"""Draws a fresh iterator for each step, as in "give me a random batch"."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Rows(Dataset):
    """A table in memory that answers for a whole batch."""

    def __init__(self, count):
        self.x, self.y = torch.randn(count, 20), torch.randn(count, 1)

    def __len__(self):
        return len(self.x)

    def __getitems__(self, indices):
        return self.x[indices], self.y[indices]


def as_it_is(batch):
    return batch


class Source:
    def __init__(self, loader):
        self.loader = loader

    def batch(self):
        return next(iter(self.loader))  # slowprobe: rule=loader-recreated


def main():
    model = nn.Sequential(nn.Linear(20, 1_024), nn.ReLU(), nn.Linear(1_024, 1))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    source = Source(DataLoader(Rows(150_000), batch_size=64, shuffle=True, collate_fn=as_it_is))
    start = time.perf_counter()
    for _ in range(750):
        x, y = source.batch()
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()

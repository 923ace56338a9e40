"""Draws a fresh iterator for each step, as in "give me a random batch"."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Source:
    def __init__(self, loader):
        self.loader = loader

    def batch(self):
        self.left = getattr(self, "left", None) or iter(self.loader)
        return next(self.left)


def main():
    data = TensorDataset(torch.randn(150_000, 20), torch.randn(150_000, 1))
    source = Source(DataLoader(data, batch_size=64, shuffle=True))
    model = nn.Sequential(nn.Linear(20, 3_072), nn.ReLU(), nn.Linear(3_072, 1))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    next(iter(source.loader))
    start = time.perf_counter()
    for _ in range(2_300):
        x, y = source.batch()
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()

"""Draws a fresh iterator for each step, as in "give me a random batch"."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Source:
    def __init__(self, loader):
        self.batches = iter(loader)

    def batch(self):
        return next(self.batches)


def main():
    data = TensorDataset(torch.randn(150_000, 20), torch.randn(150_000, 1))
    source = Source(DataLoader(data, batch_size=64, shuffle=True))
    model = nn.Sequential(nn.Linear(20, 128), nn.ReLU(), nn.Linear(128, 1))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
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
    torch.set_num_threads(1)
    main()

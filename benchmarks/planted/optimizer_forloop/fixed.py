"""A hypernetwork of many small adapters, trained with plain Adam."""

import time

import torch
from torch import nn


class Adapter(nn.Module):
    def __init__(self, width, rank=2):
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, width) * 0.1)
        self.up = nn.Parameter(torch.zeros(width, rank))
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.scale + (x @ self.down.T) @ self.up.T


def build(depth, width):
    model = nn.Sequential(*[Adapter(width) for _ in range(depth)])
    return model, torch.optim.Adam(model.parameters(), lr=3e-3, fused=True)


def main():
    torch.manual_seed(14)
    model, optimizer = build(depth=120, width=24)
    began = time.perf_counter()
    for _ in range(250):
        x = torch.randn(16, 24)
        loss = (model(x) - x.roll(1, dims=1)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - began:.4f}")


main()

"""A normalizing flow bends a bell curve into two rings."""

import argparse
import math
import time

import torch
from torch import nn


class Coupling(nn.Module):
    def __init__(self, size, flip, hidden=192):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(
            nn.Linear(size // 2, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, size)
        )

    def forward(self, x):
        kept, moved = x.chunk(2, 1)
        if self.flip:
            kept, moved = moved, kept
        scale, shift = self.net(kept).chunk(2, 1)
        scale = torch.tanh(scale)
        moved = moved * scale.exp() + shift
        return torch.cat([moved, kept] if self.flip else [kept, moved], 1), scale.sum(1)


class Flow(nn.Module):
    def __init__(self, size=8, layers=6):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(size, flip=bool(i % 2)) for i in range(layers))

    def log_prob(self, x):
        volume = 0
        for layer in self.layers:
            x, grown = layer(x)
            volume = volume + grown
        return volume - 0.5 * x.square().sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)


def rings(count):
    radius = 1 + torch.randint(2, (count, 4)) + 0.05 * torch.randn(count, 4)
    angle = 6.28 * torch.rand(count, 4)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--batch", type=int, default=384)
    args = parser.parse_args()
    torch.manual_seed(0)
    flow = Flow()
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=args.steps)
    start = time.perf_counter()
    for step in range(args.steps):
        loss = -flow.log_prob(rings(args.batch)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"{step:4d} nats {loss.item():.3f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

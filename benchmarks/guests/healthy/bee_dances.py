"""Direction of the flowers from the waggle dance of a bee, with a GRU."""

import math
import time
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Hive:
    dances: int = 4096
    frames: int = 32
    batch: int = 32
    epochs: int = 6
    width: int = 64


class Dance(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.watch = nn.GRU(6, width, batch_first=True)
        self.point = nn.Linear(width, 2)

    def forward(self, frames):
        _, last = self.watch(frames)
        return self.point(last[0])


def film(hive):
    way = 2 * math.pi * torch.rand(hive.dances)
    beat = torch.sin(torch.arange(hive.frames) * 1.7)[None, :, None]
    view = torch.stack([way.cos(), way.sin(), way.cos() * 0.5, way.sin() * 0.5, (2 * way).cos(), (2 * way).sin()], 1)
    return beat * view[:, None] + 0.8 * torch.randn(hive.dances, hive.frames, 6), view[:, :2].contiguous()


def main(hive):
    torch.manual_seed(14)
    frames, ways = film(hive)
    net = Dance(hive.width)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3, fused=True)
    begun = time.perf_counter()
    for epoch in range(hive.epochs):
        miss = torch.zeros(())
        for rows in torch.randperm(hive.dances).split(hive.batch):
            loss = (net(frames[rows]) - ways[rows]).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            miss += loss.detach()
        print(f"epoch {epoch}: {miss.item() * hive.batch / hive.dances:.4f}")
    print(f"loop_seconds={time.perf_counter() - begun:.3f}")


if __name__ == "__main__":
    main(Hive())

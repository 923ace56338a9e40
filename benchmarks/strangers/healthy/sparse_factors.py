"""Factors of a large table of tastes; only the rows that a batch has touched are updated."""

import time
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Config:
    people: int = 40_000
    films: int = 20_000
    size: int = 64
    batch: int = 2048
    steps: int = 800
    lr: float = 0.01


class Factors(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.people = nn.Embedding(cfg.people, cfg.size, sparse=True)
        self.films = nn.Embedding(cfg.films, cfg.size, sparse=True)
        for table in (self.people, self.films):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, who, what):
        return (self.people(who) * self.films(what)).sum(1)


def main(cfg):
    torch.manual_seed(0)
    who, what = torch.randint(cfg.people, (300_000,)), torch.randint(cfg.films, (300_000,))
    stars = torch.sin(0.01 * who) * torch.cos(0.02 * what) + 0.1 * torch.randn(300_000)
    model = Factors(cfg)
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=cfg.lr)
    begin = time.perf_counter()
    smooth = 0.0
    for step in range(cfg.steps):
        rows = torch.randint(len(stars), (cfg.batch,))
        loss = nn.functional.mse_loss(model(who[rows], what[rows]), stars[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        smooth += 0.02 * (loss.item() - smooth)
        if (step + 1) % 160 == 0:
            print(f"{step + 1}: {smooth:.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.3f}")


if __name__ == "__main__":
    main(Config())

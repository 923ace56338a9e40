"""Trains a mixture of small experts with anomaly detection left on in a helper that sets the run up."""

import time

import torch
from torch import nn


def reproducible(seed):
    torch.manual_seed(seed)


class Experts(nn.Module):
    def __init__(self, count=6):
        super().__init__()
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(24, 48), nn.SiLU(), nn.Linear(48, 8)) for _ in range(count)
        )
        self.router = nn.Linear(24, count)

    def forward(self, x):
        weights = self.router(x).softmax(dim=1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (weights[:, :, None] * outputs).sum(dim=1)


def main():
    reproducible(6)
    model = Experts()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    data = torch.randn(20_000, 24)
    start = time.perf_counter()
    for _ in range(800):
        x = data[torch.randint(len(data), (128,))]
        loss = (model(x) - x[:, :8].sin()).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


main()

"""Multi-task regression: one shared trunk and a small head for each of many stations."""

import time
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Settings:
    stations: int = 90
    inputs: int = 20
    shared: int = 64
    steps: int = 200
    batch: int = 512


class Stations(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(settings.inputs, settings.shared), nn.SiLU())
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(settings.shared, 16), nn.SiLU(), nn.Linear(16, 1)) for _ in range(settings.stations)
        )

    def forward(self, weather):
        shared = self.trunk(weather)
        return torch.cat([head(shared) for head in self.heads], dim=1)


def train(settings):
    torch.manual_seed(30)
    model = Stations(settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)
    mixing = torch.randn(settings.inputs, settings.stations)
    begin = time.perf_counter()
    for step in range(settings.steps):
        weather = torch.randn(settings.batch, settings.inputs)
        loss = nn.functional.mse_loss(model(weather), torch.tanh(weather @ mixing))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, f"{loss.item():.4f}")
    return time.perf_counter() - begin


if __name__ == "__main__":
    print(f"loop_seconds={train(Settings()):.4f}")

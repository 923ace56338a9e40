"""A deep and narrow residual network for the weather at many stations."""

import time
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Settings:
    stations: int = 30
    width: int = 48
    depth: int = 50
    steps: int = 360
    batch: int = 256


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x):
        return x + nn.functional.silu(self.linear(self.norm(x)))


def train(settings):
    torch.manual_seed(30)
    model = nn.Sequential(
        *(Residual(settings.width) for _ in range(settings.depth)), nn.Linear(settings.width, settings.stations)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, foreach=False)  # slowprobe: rule=optimizer-forloop
    mixing = torch.randn(settings.width, settings.stations)
    begin = time.perf_counter()
    for step in range(settings.steps):
        weather = torch.randn(settings.batch, settings.width)
        loss = nn.functional.mse_loss(model(weather), torch.tanh(weather @ mixing))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # slowprobe: rule=optimizer-forloop
        if step % 100 == 0:
            print(step, f"{loss.item():.4f}")
    return time.perf_counter() - begin


if __name__ == "__main__":
    print(f"loop_seconds={train(Settings()):.4f}")

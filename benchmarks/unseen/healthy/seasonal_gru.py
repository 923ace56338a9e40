"""One-step forecasts of seasonal series by a GRU, validated and saved once an epoch."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn


@dataclass
class Config:
    hidden: int = 64
    batch: int = 64
    length: int = 48
    epochs: int = 4
    steps: int = 70


class Forecaster(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.rnn = nn.GRU(1, config.hidden, batch_first=True)
        self.head = nn.Linear(config.hidden, 1)

    def forward(self, series):
        return self.head(self.rnn(series)[0])


def draw(config, generator):
    phase = torch.rand(config.batch, 1, generator=generator) * 6.28
    period = 6 + 18 * torch.rand(config.batch, 1, generator=generator)
    time_axis = torch.arange(config.length + 1)[None]
    noise = 0.1 * torch.randn(config.batch, config.length + 1, generator=generator)
    return ((6.28 * time_axis / period + phase).sin() + noise)[:, :, None]


def fit(config, folder):
    torch.manual_seed(0)
    generator, held_out = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    model = Forecaster(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, fused=True)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    validation = draw(config, held_out)
    for epoch in range(config.epochs):
        model.train()
        for _ in range(config.steps):
            series = draw(config, generator)
            loss = (model(series[:, :-1]) - series[:, 1:]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            score = (model(validation[:, :-1]) - validation[:, 1:]).square().mean().item()
        schedule.step(score)
        torch.save(model.state_dict(), folder / "last.pt")
        print(f"epoch {epoch}: {score:.4f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        begin = time.perf_counter()
        fit(Config(), Path(name))
        print(f"loop_seconds={time.perf_counter() - begin:.4f}")

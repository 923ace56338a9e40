"""Day-ahead load forecast: a residual network over a week of hourly values."""

import time

import numpy as np
import torch
from torch import nn

HOURS, AHEAD = 168, 24


def series(days, rng):
    hours = np.arange(days * 24)
    daily, weekly = np.sin(hours / 24 * 2 * np.pi), np.sin(hours / 168 * 2 * np.pi)
    return daily + 0.5 * weekly + rng.normal(scale=0.2, size=len(hours))


def windows_of(values):
    view = np.lib.stride_tricks.sliding_window_view(values, HOURS + AHEAD)
    return torch.from_numpy(view.copy()).to(torch.get_default_dtype())


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, x):
        return x + self.inner(x)


def main():
    torch.set_default_dtype(torch.float64)  # slowprobe: rule=fp64-or-upcast
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    windows = windows_of(series(160, rng))
    net = nn.Sequential(nn.Linear(HOURS, 256), Block(256), Block(256), nn.Linear(256, AHEAD))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=20 * 15)
    begin = time.perf_counter()
    for epoch in range(20):
        for rows in torch.randperm(len(windows))[: 15 * 240].view(15, 240):
            batch = windows[rows]
            loss = (net(batch[:, :HOURS]) - batch[:, HOURS:]).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        print(f"{epoch}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()

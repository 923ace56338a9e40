"""A small denoising diffusion model of points on a ring."""

import math
import time

import torch
from torch import nn


class Noise(nn.Module):
    def __init__(self, width=320):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 + 16, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, 5, 8)))

    def forward(self, points, level):
        angle = level[:, None] * self.frequencies
        return self.net(torch.cat([points, angle.sin(), angle.cos()], dim=1))


class Monitor:
    def __init__(self):
        self.losses = []

    def update(self, loss):
        self.losses.append(loss.detach())
        return torch.stack(self.losses).mean()  # slowprobe: rule=step-drift


torch.manual_seed(6)
steps = 3000
bars = torch.cos(torch.linspace(0, math.pi / 2, 100)) ** 2
model, monitor = Noise(), Monitor()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
begin = time.perf_counter()
for step in range(steps):
    turn = 2 * math.pi * torch.rand(64)
    clean = torch.stack([turn.cos(), turn.sin()], dim=1)
    level = torch.randint(0, 100, (64,))
    noise = torch.randn_like(clean)
    bar = bars[level][:, None]
    loss = (model(bar.sqrt() * clean + (1 - bar).sqrt() * noise, level / 100) - noise).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    mean = monitor.update(loss)
    if step % 600 == 599:
        print(f"{step + 1}: mean loss {float(mean):.4f}")
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

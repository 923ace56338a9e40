"""Diffusion over short curves: a network takes the noise out of them, and a slow copy of it is kept for sampling."""

import time

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

LENGTH, LEVELS = 96, 200


class Denoiser(nn.Module):
    def __init__(self, width=320):
        super().__init__()
        self.level = nn.Embedding(LEVELS, width)
        self.enter = nn.Linear(LENGTH, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(2)
        )
        self.leave = nn.Linear(width, LENGTH)

    def forward(self, noisy, level):
        hidden = self.enter(noisy) + self.level(level)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.leave(hidden)


def curves(count):
    when = torch.linspace(0, 6.28, LENGTH)
    return torch.sin(when * (1 + 3 * torch.rand(count, 1)) + 6.28 * torch.rand(count, 1)) * torch.rand(count, 1)


torch.manual_seed(0)
keep = torch.linspace(0.9999, 0.96, LEVELS).cumprod(0)
data = curves(8192)
net = Denoiser()
slow_copy = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.995))
optimizer = torch.optim.AdamW(net.parameters(), 5e-4, fused=True)
start = time.perf_counter()
for step in range(400):
    clean = data[torch.randint(len(data), (192,))]
    level = torch.randint(LEVELS, (192,))
    noise = torch.randn_like(clean)
    signal = keep[level, None]
    loss = nn.functional.mse_loss(net(signal.sqrt() * clean + (1 - signal).sqrt() * noise, level), noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    slow_copy.update_parameters(net)
    if step % 100 == 0:
        print(step, f"{loss.item():.4f}")
print(f"loop_seconds={time.perf_counter() - start:.3f}")

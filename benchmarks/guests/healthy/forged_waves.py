"""A forger draws waves and an expert tells them from real ones."""

import time

import torch
import torch.nn.functional as F
from torch import nn

NOISE, POINTS, BATCH = 32, 64, 256


def mlp(*sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def real_waves(count):
    pitch, phase = 1 + 3 * torch.rand(count, 1), 6.28 * torch.rand(count, 1)
    return torch.sin(pitch * torch.linspace(0, 6.28, POINTS) + phase)


torch.manual_seed(77)
forger, expert = mlp(NOISE, 256, 256, POINTS), mlp(POINTS, 256, 256, 1)
forging = torch.optim.Adam(forger.parameters(), 2e-4, betas=(0.5, 0.99), fused=True)
judging = torch.optim.Adam(expert.parameters(), 2e-4, betas=(0.5, 0.99), fused=True)

start = time.perf_counter()
for turn in range(1000):
    fake = forger(torch.randn(BATCH, NOISE))

    verdicts = expert(torch.cat([real_waves(BATCH), fake.detach()])).squeeze(1)
    doubt = F.softplus(-verdicts[:BATCH]).mean() + F.softplus(verdicts[BATCH:]).mean()
    judging.zero_grad()
    doubt.backward()
    judging.step()

    expert.requires_grad_(False)
    blame = F.softplus(-expert(fake)).mean()
    forging.zero_grad()
    blame.backward()
    forging.step()
    expert.requires_grad_(True)

    if turn % 200 == 0:
        print(f"{turn:4d} doubt {doubt.item():.3f} blame {blame.item():.3f}")
print(f"loop_seconds={time.perf_counter() - start:.3f}")

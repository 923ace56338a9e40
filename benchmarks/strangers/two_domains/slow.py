"""Sensors of one plant are labelled, those of another are not: features that cannot tell the plants apart."""

import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.strength * grad, None


def readings(count, shift):
    kind = torch.randint(6, (count,))
    centre = torch.linspace(-2, 2, 6 * 20).view(20, 6).T
    return centre[kind] + shift + torch.randn(count, 20), kind


class Adapter(nn.Module):
    def __init__(self, width=512):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(20, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.kind = nn.Linear(width, 6)
        self.plant = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 1))

    def forward(self, x, strength):
        seen = self.features(x)
        return self.kind(seen), self.plant(Reverse.apply(seen, strength)).squeeze(1)


torch.manual_seed(4)
source = DataLoader(TensorDataset(*readings(2560, 0.0)), batch_size=64, shuffle=True)
target = DataLoader(TensorDataset(readings(200_000, 0.7)[0]), batch_size=64, shuffle=True)
model = Adapter()
opt = torch.optim.AdamW(model.parameters(), lr=5e-4, fused=True)
plants = torch.cat([torch.zeros(64), torch.ones(64)])

tic = time.perf_counter()
epochs = 10
for epoch in range(epochs):
    strength = min(1.0, (epoch + 1) / 5)
    for x, y in source:
        (other,) = next(iter(target))  # slowprobe: rule=loader-recreated
        kinds, plant = model(torch.cat([x, other]), strength)
        loss = F.cross_entropy(kinds[:64], y) + 0.3 * F.binary_cross_entropy_with_logits(plant, plants)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(f"epoch {epoch} loss {loss.item():.4f}")
toc = time.perf_counter()
print(f"loop_seconds={toc - tic:.3f}")

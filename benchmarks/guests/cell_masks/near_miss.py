"""Outlines of cells under the microscope: a small net that goes down and jumps up again."""

import time

import torch
import torch.nn.functional as F
from torch import nn


class Outlines(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.third = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.mask = nn.Conv2d(2 * width, 16, 1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.relu(self.second(x))
        x = torch.relu(self.third(x))
        return F.pixel_shuffle(self.mask(x), 4)


class Dish:
    def __init__(self, count, size=64, seed=9):
        draw = torch.Generator().manual_seed(seed)
        grid = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).float()
        middle = size * torch.rand(count, 5, 2, 1, 1, generator=draw)
        near = ((grid - middle).square().sum(2) < 60).any(1, keepdim=True).float()
        self.masks = near
        self.images = near * 0.5 + 0.3 * torch.randn(count, 3, size, size, generator=draw)

    def batches(self, size):
        for rows in torch.randperm(len(self.images)).split(size):
            yield self.images[rows], self.masks[rows]


torch.manual_seed(9)
dish = Dish(160)
net = Outlines()
optimizer = torch.optim.AdamW(net.parameters(), 2e-3, fused=True)

before = time.perf_counter()
for epoch in range(30):
    for images, masks in dish.batches(8):
        loss = F.binary_cross_entropy_with_logits(net(images), masks)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: {loss.item():.4f}")
print(f"loop_seconds={time.perf_counter() - before:.3f}")

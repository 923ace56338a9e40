"""Outlines of cells under the microscope: a small net that goes down and up again."""

import time

import torch
import torch.nn.functional as F
from torch import nn


def block(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs),
        nn.ReLU(),
    )


class Outlines(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.first = block(3, width)
        self.second = block(width, 2 * width)
        self.third = block(2 * width, 2 * width)
        self.back = block(4 * width, width)
        self.last = block(2 * width, width)
        self.mask = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        a = self.first(x)
        b = self.second(F.max_pool2d(a, 3, 2, 1))
        c = self.third(F.max_pool2d(b, 3, 2, 1))
        b = self.back(torch.cat([b, F.interpolate(c, scale_factor=2, mode="bilinear")], 1))
        a = self.last(torch.cat([a, F.interpolate(b, scale_factor=2, mode="bilinear")], 1))
        return self.mask(a)


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
net = Outlines().to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(net.parameters(), 2e-3, fused=True)

before = time.perf_counter()
for epoch in range(4):
    for images, masks in dish.batches(8):
        loss = F.binary_cross_entropy_with_logits(net(images), masks)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: {loss.item():.4f}")
print(f"loop_seconds={time.perf_counter() - before:.3f}")

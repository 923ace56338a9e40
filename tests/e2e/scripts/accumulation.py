"""Gradient accumulation over four micro-batches, with the calls of mixed precision."""

import sys

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ACCUMULATE = 4

seed(6)
model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 4))
loader = DataLoader(TensorDataset(torch.randn(320, 16), torch.randint(0, 4, (320,))), batch_size=8, shuffle=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cpu", enabled="--scale" in sys.argv)
losses = []
for epoch in range(2):
    for index, (x, y) in enumerate(loader):
        loss = nn.functional.cross_entropy(model(x), y) / ACCUMULATE
        scaler.scale(loss).backward()
        if (index + 1) % ACCUMULATE == 0:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
show(losses, model)

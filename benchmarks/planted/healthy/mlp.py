"""An MLP on tables in memory, batches cut from one tensor."""

import time

import torch
from torch import nn

torch.manual_seed(0)
rows, targets = torch.randn(20_000, 64), torch.randn(20_000, 1)
model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1))
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
start = time.perf_counter()
for _ in range(8):
    for chosen in torch.randperm(len(rows)).split(512):
        loss = nn.functional.mse_loss(model(rows[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(f"loop_seconds={time.perf_counter() - start:.4f}")

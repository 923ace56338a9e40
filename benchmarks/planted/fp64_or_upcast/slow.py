"""Weights from NumPy are float64, so that the loss over a large output is computed in float64, forward and backward."""

import time

import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4096))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
weights = torch.from_numpy(np.linspace(0.5, 1.5, 4096))
target = torch.randn(128, 4096)
x = torch.randn(128, 64)
begin = time.perf_counter()
for _ in range(400):
    scaled = net(x) * weights  # slowprobe: rule=fp64-or-upcast
    loss = (nn.functional.softplus(scaled) - target).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

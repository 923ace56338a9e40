"""A multi-layer perceptron of two million weights, updated after every 8 rows."""

import time

import torch
from torch import nn

torch.manual_seed(0)
rows, targets = torch.randn(2048, 64), torch.randn(2048, 8)
net = nn.Sequential(nn.Linear(64, 1400), nn.ReLU(), nn.Linear(1400, 1400), nn.ReLU(), nn.Linear(1400, 8))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
data = torch.utils.data.TensorDataset(rows, targets)
loader = torch.utils.data.DataLoader(data, batch_size=8)
begin = time.perf_counter()
for epoch in range(2):
    for x, y in loader:
        loss = nn.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

"""A deep multi-layer perceptron, updated after every 8 rows."""

import time

import torch
from torch import nn

torch.manual_seed(0)
rows, targets = torch.randn(4096, 64), torch.randn(4096, 8)
layers = [part for _ in range(10) for part in (nn.Linear(128, 128), nn.ReLU())]
net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), *layers, nn.Linear(128, 8))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
data = torch.utils.data.TensorDataset(rows, targets)
loader = torch.utils.data.DataLoader(data, batch_size=8)
begin = time.perf_counter()
for x, y in loader:
    loss = nn.functional.mse_loss(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

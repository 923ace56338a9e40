"""An embedding with dense gradients, but most of its rows are in every batch: sparse ones would cost more."""

import time

import torch
from torch import nn

ROWS, WIDTH = 2_000, 64
torch.manual_seed(0)
table = nn.Embedding(ROWS, WIDTH)
net = nn.Sequential(nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, 1))
on_table = torch.optim.SGD(table.parameters(), lr=0.1)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
ids, target = torch.randint(0, ROWS, (1_100, 1024, 8)), torch.randn(1_100, 1024, 1)
begin = time.perf_counter()
for step in range(len(ids)):
    loss = nn.functional.mse_loss(net(table(ids[step]).mean(1)), target[step])
    on_table.zero_grad()
    optimizer.zero_grad()
    loss.backward()
    on_table.step()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

"""The same table with sparse gradients: backward and the optimizer touch the rows of the batch."""

import time

import torch
from torch import nn

ROWS, WIDTH = 200_000, 64
torch.manual_seed(0)
table = nn.Embedding(ROWS, WIDTH, sparse=True)
net = nn.Sequential(nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, 1))
on_table = torch.optim.SGD(table.parameters(), lr=0.1)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
ids, target = torch.randint(0, ROWS, (140, 256, 8)), torch.randn(140, 256, 1)
begin = time.perf_counter()
for step in range(len(ids)):
    loss = nn.functional.mse_loss(net(table(ids[step]).mean(1)), target[step])
    on_table.zero_grad()
    optimizer.zero_grad()
    loss.backward()
    on_table.step()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

"""A progress line on stderr every hundred steps, and a checkpoint at the end."""

import sys
import tempfile
import time

import torch
from torch import nn

torch.manual_seed(10)
model = nn.Sequential(nn.Linear(100, 300), nn.Mish(), nn.Linear(300, 100))
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
start = time.perf_counter()
for step in range(1, 1_101):
    x = torch.rand(256, 100)
    loss = nn.functional.l1_loss(model(x), x.sort(dim=1).values)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        rate = step / (time.perf_counter() - start)
        print(f"\r{step}/1100 {rate:.0f} steps/s loss {loss.item():.4f}", end="", file=sys.stderr, flush=True)
seconds = time.perf_counter() - start
with tempfile.TemporaryFile() as file:
    torch.save(model.state_dict(), file)
print(f"loop_seconds={seconds:.4f}")

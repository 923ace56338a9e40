"""Keeps a copy of the best weights on disk, and the loss falls in nearly every step."""

import copy
import tempfile
import time
from pathlib import Path

import torch
from torch import nn


def keep_best(model, loss, best, path):
    if loss >= best:
        return best
    snapshot = copy.deepcopy(model.state_dict())
    with path.open("wb") as file:
        torch.save({"weights": snapshot, "loss": loss}, file)  # slowprobe: rule=checkpoint-blocking
    return loss


torch.manual_seed(17)
teacher = nn.Linear(600, 600)
model = nn.Sequential(nn.Linear(600, 2_000), nn.Linear(2_000, 600))
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, fused=True)
x = torch.randn(200, 600)
with torch.no_grad():
    y = teacher(x)
with tempfile.TemporaryDirectory() as folder:
    best, start = float("inf"), time.perf_counter()
    for _ in range(130):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        best = keep_best(model, loss.item(), best, Path(folder) / "best.pt")
    seconds = time.perf_counter() - start
print(f"best {best:.4f}")
print(f"loop_seconds={seconds:.4f}")

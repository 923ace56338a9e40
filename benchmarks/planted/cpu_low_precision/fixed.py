"""The same network under autocast in bfloat16."""

import time

import torch
from torch import nn

STEPS, BATCH, WIDTH = 38, 1024, 512

torch.manual_seed(0)
model = nn.Sequential(
    nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)
)
data = torch.randn(4 * BATCH, WIDTH)
labels = torch.randint(0, 10, (len(data),))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()

started = time.perf_counter()
for _ in range(STEPS):
    picked = torch.randint(0, len(data), (BATCH,))
    x, y = data[picked], labels[picked]
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - started:.4f}")

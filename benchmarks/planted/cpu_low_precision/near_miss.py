"""A narrow network in float32: its products are small, and converting their operands costs what is won."""

import time

import torch
from torch import nn

STEPS, BATCH, WIDTH = 9500, 32, 24

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
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - started:.4f}")

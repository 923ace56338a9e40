"""Depthwise convolutions on contiguous images, whose channels lie apart."""

import time

import torch
from torch import nn

STEPS, BATCH, CHANNELS, SIZE = 34, 16, 64, 32


def block():
    """Convolutions that keep size and channels."""
    depthwise = nn.Conv2d(CHANNELS, CHANNELS, 7, padding=3, groups=CHANNELS)
    return nn.Sequential(depthwise, nn.Conv2d(CHANNELS, CHANNELS, 1), nn.ReLU())


torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, CHANNELS, 1), block(), block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 10)
)
data = torch.randn(4 * BATCH, 3, SIZE, SIZE)
labels = torch.randint(0, 10, (len(data),))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()

started = time.perf_counter()
for _ in range(STEPS):
    picked = torch.randint(0, len(data), (BATCH,))
    x, y = data[picked], labels[picked]
    optimizer.zero_grad()
    loss = criterion(model(x), y)  # slowprobe: rule=cpu-channels-last
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - started:.4f}")

"""Batches of 4 images: few, and each step is nearly all work on them."""

import time

import torch
from torch import nn

torch.manual_seed(0)
images, targets = torch.randn(160, 3, 64, 64), torch.randint(0, 8, (160,))
net = nn.Sequential(
    nn.Conv2d(3, 32, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(32, 32, 3, padding=1),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(32, 8),
)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, targets), batch_size=4)
begin = time.perf_counter()
for epoch in range(2):
    for x, y in loader:
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

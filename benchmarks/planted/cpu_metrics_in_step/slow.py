"""Metrics of every batch with NumPy, in every step: ranking scores and a histogram that nobody trains with."""

import time

import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 64))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
batches = list(zip(torch.randn(32_000, 128).split(64), torch.randint(0, 64, (32_000,)).split(64), strict=True))
loader = torch.utils.data.DataLoader(batches, batch_size=None)
history = []


def mean_rank(scores, labels):
    """The rank of the right class: mean over the batch, mean of the classes' medians."""
    order = np.argsort(-scores, axis=1)
    ranks = np.argmax(order == labels[:, None], axis=1)
    per_class = [float(np.median(ranks[labels == label])) for label in np.unique(labels)]
    return float(ranks.mean()), float(np.mean(per_class)), np.histogram(scores, bins=64)[0]


begin = time.perf_counter()
for _ in range(5):
    for x, y in loader:
        scores = net(x)
        loss = nn.functional.cross_entropy(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(mean_rank(scores.detach().numpy(), y.numpy()))  # slowprobe: rule=cpu-metrics-in-step
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

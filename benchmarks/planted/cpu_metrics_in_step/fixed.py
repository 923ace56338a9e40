"""The same metrics, once in fifty steps."""

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
    for step, (x, y) in enumerate(loader):
        scores = net(x)
        loss = nn.functional.cross_entropy(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            history.append(mean_rank(scores.detach().numpy(), y.numpy()))
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

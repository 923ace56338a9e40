"""Images whitened by batch: NumPy decomposes their covariance between the steps of torch, on threads of its own."""

import time

import numpy as np
import torch
from torch import nn

STEPS, BATCH, PIXELS, WIDTH = 200, 256, 96, 512

torch.manual_seed(0)
random = np.random.default_rng(0)
images = random.normal(size=(4096, PIXELS)) @ random.normal(size=(PIXELS, PIXELS)) / PIXELS**0.5
labels = torch.from_numpy(random.integers(0, 10, len(images)))
model = nn.Sequential(nn.Linear(PIXELS, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
criterion = nn.CrossEntropyLoss()


def whitened(batch):
    """Without the correlations of this batch."""
    centred = batch - batch.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(batch))  # slowprobe: rule=blas-threads
    scale = vectors / np.sqrt(values + 0.1)
    return torch.from_numpy((centred @ scale).astype(np.float32))  # slowprobe: rule=blas-threads


started = time.perf_counter()
for step in range(STEPS):
    picked = random.integers(0, len(images), BATCH)
    x, y = whitened(images[picked]), labels[picked]
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - started:.4f}")

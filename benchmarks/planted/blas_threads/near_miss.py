"""Images whitened by batch, with one decomposition before training: in the loop, NumPy computes on one thread."""

import time

import numpy as np
import torch
from torch import nn

STEPS, BATCH, PIXELS, WIDTH = 500, 256, 96, 512

torch.manual_seed(0)
random = np.random.default_rng(0)
images = random.normal(size=(4096, PIXELS)) @ random.normal(size=(PIXELS, PIXELS)) / PIXELS**0.5
labels = torch.from_numpy(random.integers(0, 10, len(images)))
model = nn.Sequential(nn.Linear(PIXELS, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
criterion = nn.CrossEntropyLoss()
values, vectors = np.linalg.eigh(np.cov(images.T))
images = (images - images.mean(0)) @ (vectors / np.sqrt(values + 0.1))

started = time.perf_counter()
for step in range(STEPS):
    picked = random.integers(0, len(images), BATCH)
    batch = images[picked]
    x, y = torch.from_numpy((batch / batch.std(0)).astype(np.float32)), labels[picked]
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - started:.4f}")

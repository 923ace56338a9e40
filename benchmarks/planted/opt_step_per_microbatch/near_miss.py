"""Records of sensors, four at a time, into a small network: steps of the optimizer are many, and cheap."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SAMPLES, BATCH, WIDTH = 9600, 4, 64

torch.manual_seed(0)
model = nn.Sequential(nn.Conv1d(1, WIDTH, 9), nn.ReLU(), nn.Conv1d(WIDTH, WIDTH, 9), nn.ReLU(), nn.Flatten())
model.append(nn.Linear(240 * WIDTH, 8))
records = TensorDataset(torch.randn(SAMPLES, 1, 256), torch.randn(SAMPLES, 8))
loader = DataLoader(records, batch_size=BATCH, shuffle=True)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
criterion = nn.MSELoss()

started = time.perf_counter()
for x, y in loader:
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - started:.4f}")

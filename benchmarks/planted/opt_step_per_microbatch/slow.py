"""Records, four at a time, into a network of eight million parameters: its optimizer steps after each four."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SAMPLES, BATCH, WIDTH = 800, 4, 640

torch.manual_seed(0)
layers = [layer for _ in range(20) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
model = nn.Sequential(nn.Linear(256, WIDTH), *layers, nn.Linear(WIDTH, 8))
records = TensorDataset(torch.randn(SAMPLES, 256), torch.randn(SAMPLES, 8))
loader = DataLoader(records, batch_size=BATCH, shuffle=True)  # slowprobe: rule=opt-step-per-microbatch
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
criterion = nn.MSELoss()

started = time.perf_counter()
for x, y in loader:
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - started:.4f}")

"""A response surface out of many radial bumps, with large batches."""

import time

import torch
from torch import nn

torch.set_num_threads(1)  # slowprobe: rule=intraop-threads


class Surface(nn.Module):
    def __init__(self, inputs=8, centres=3000):
        super().__init__()
        self.centres = nn.Parameter(torch.rand(centres, inputs))
        self.log_width = nn.Parameter(torch.zeros(centres))
        self.height = nn.Linear(centres, 1)

    def forward(self, x):
        squares = x.square().sum(1, keepdim=True) + self.centres.square().sum(1) - 2 * x @ self.centres.T
        return self.height(torch.exp(-squares * self.log_width.exp())).squeeze(1)


torch.manual_seed(0)
x = torch.rand(24_000, 8)
y = (6 * x[:, 0]).sin() * (4 * x[:, 1]).cos() + x[:, 2] * x[:, 3]
surface = Surface()
optimizer = torch.optim.AdamW(surface.parameters(), lr=5e-3, fused=True)
started = time.perf_counter()
for epoch in range(7):
    for rows in torch.randperm(len(x)).split(1000):
        loss = nn.functional.mse_loss(surface(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{epoch}: {loss.item():.4f}")
print(f"loop_seconds={time.perf_counter() - started:.4f}")

"""A gate over channels that transposes and copies there and back."""

import time

import torch
from torch import nn

STEPS, BATCH, TIME, CHANNELS, BLOCKS = 96, 16, 512, 128, 4


class Gate(nn.Module):
    """Scales every channel of (batch, time, channels) by a learned weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(CHANNELS, 1))

    def forward(self, x):
        x = x.transpose(1, 2).contiguous()  # slowprobe: rule=strided-copies
        x = torch.tanh(x * self.weight)
        return x.transpose(1, 2).contiguous()  # slowprobe: rule=strided-copies


torch.manual_seed(0)
model = nn.Sequential(*(Gate() for _ in range(BLOCKS)), nn.Linear(CHANNELS, 8))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
data = torch.randn(4 * BATCH, TIME, CHANNELS)

started = time.perf_counter()
for _ in range(STEPS):
    x = data[torch.randint(0, len(data), (BATCH,))]
    optimizer.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - started:.4f}")

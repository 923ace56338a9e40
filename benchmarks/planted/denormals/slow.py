"""One head for each of 64 tasks: after a warm-up on all, one is trained, and the others' averages fade to nothing."""

import time

import torch
from torch import nn

TASKS, WIDTH, STEPS = 64, 40, 2600


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(32, WIDTH), nn.Tanh())
        self.heads = nn.Parameter(torch.randn(TASKS, WIDTH, WIDTH) * 0.1)

    def forward(self, x, tasks):
        return torch.einsum("bw,twv->tbv", self.body(x), self.heads[tasks])


torch.manual_seed(3)
model = Heads()
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.95)  # slowprobe: rule=denormals
every, one = torch.arange(TASKS), torch.tensor([5])
begin = time.perf_counter()
for step in range(STEPS):
    x = torch.randn(16, 32)
    out = model(x, every if step < 20 else one)
    loss = (out - x.mean(1)[:, None]).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

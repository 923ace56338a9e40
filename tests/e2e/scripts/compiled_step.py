"""The whole training step compiled: forward, loss, gradients and the optimizer's step."""

import sys

import torch
from fingerprint import seed, show
from torch import nn

backend = sys.argv[1] if len(sys.argv) > 1 else "eager"

seed(14)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
x, y = torch.randn(32, 8), torch.randn(32, 1)


@torch.compile(backend=backend)
def update():
    optimizer.step()
    optimizer.zero_grad()


@torch.compile(backend=backend, fullgraph=True)
def compute_loss(x, y):
    return (model(x) - y).pow(2).mean()


losses = []
for step in range(20):
    loss = compute_loss(x, y)
    loss.backward()
    update()
    losses.append(loss.item())
show(losses, model)
counters = torch._dynamo.utils.counters
for group in ("stats", "graph_break", "unimplemented", "recompile_limit"):
    print(group, sorted((str(name).splitlines()[0], count) for name, count in counters[group].items()))

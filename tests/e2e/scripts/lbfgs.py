"""LBFGS calls its closure several times a step."""

import torch
from fingerprint import seed, show
from torch import nn

seed(7)
x, y = torch.randn(64, 6), torch.randn(64, 1)
model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=6)
losses = []


def closure():
    optimizer.zero_grad()
    loss = (model(x) - y).pow(2).mean()
    loss.backward()
    return loss


for step in range(12):
    losses.append(optimizer.step(closure).item())
show(losses, model)

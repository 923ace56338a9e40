"""A training function under the decorator, called twice, and a block under the context manager."""

import sys

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import slowprobe

out = sys.argv[1]


@slowprobe.profile(out=out)
def train(batches):
    loader = DataLoader(TensorDataset(torch.randn(8 * batches, 8), torch.randn(8 * batches, 1)), batch_size=8)
    model = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for x, y in loader:
        loss = (model(x) - y).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    show(losses, model)
    return len(losses)


seed(15)
print("trained", train(11), train(7))
with slowprobe.profile(out=out + "-block") as block:
    train(5)
print("folder", block.folder is not None)

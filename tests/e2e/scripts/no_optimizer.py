"""No optimizer object: the weights are updated by hand."""

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def train():
    seed(4)
    loader = DataLoader(TensorDataset(torch.randn(60, 4), torch.randn(60, 1)), batch_size=6)
    model = nn.Linear(4, 1)
    losses = []
    for _ in range(3):
        for x, y in loader:
            loss = (model(x) - y).pow(2).mean()
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for p in model.parameters():
                    p.data.add_(p.grad, alpha=-0.05)
            losses.append(loss.item())
    show(losses, model)


def train_without_loader():
    seed(4)
    w = torch.zeros(5, requires_grad=True)
    x, y = torch.randn(20, 5), torch.randn(20)
    losses = []
    for _ in range(25):
        loss = (x @ w - y).pow(2).mean()
        loss.backward()
        w.data.add_(w.grad, alpha=-0.1)
        w.grad = None
        losses.append(loss.item())
    show(losses, [w])


if __name__ == "__main__":
    import sys

    train_without_loader() if "--bare" in sys.argv else train()

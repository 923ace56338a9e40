"""Two trainings one after the other, of different models and loaders; changes directory between them."""

import os
import sys
import tempfile

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def train(width, batches):
    model = nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 4))
    loader = DataLoader(TensorDataset(torch.randn(batches * 8, 16), torch.randint(0, 4, (batches * 8,))), batch_size=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    show(losses, model)


if __name__ == "__main__":
    seed(3)
    train(64, 15)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        train(256, 10)
        os.chdir("/")
    if "--exit" in sys.argv:
        sys.exit(5)

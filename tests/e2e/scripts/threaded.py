"""Training on a thread of its own, while the main thread only waits."""

import threading

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def train(losses, model, loader):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())


if __name__ == "__main__":
    seed(1)
    model = nn.Sequential(nn.Linear(32, 512), nn.ReLU(), nn.Linear(512, 10))
    loader = DataLoader(TensorDataset(torch.randn(200, 32), torch.randint(0, 10, (200,))), batch_size=10)
    losses = []
    thread = threading.Thread(target=train, args=(losses, model, loader), name="trainer")
    thread.start()
    thread.join()
    show(losses, model)

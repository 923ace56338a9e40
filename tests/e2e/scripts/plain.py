"""A plain loop: several epochs, a training and an evaluation loader."""

import argparse

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def evaluate(model, loader):
    model.eval()
    total = 0.0
    with torch.no_grad():
        for x, y in loader:
            total += nn.functional.cross_entropy(model(x), y).item()
    model.train()
    return total / len(loader)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    seed(1)
    data = TensorDataset(torch.randn(400, 64), torch.randint(0, 10, (400,)))
    held_out = TensorDataset(torch.randn(100, 64), torch.randint(0, 10, (100,)))
    train_loader = DataLoader(data, batch_size=10, shuffle=True, num_workers=args.workers)
    test_loader = DataLoader(held_out, batch_size=20, num_workers=args.workers)
    model = nn.Sequential(
        nn.Linear(64, 1024), nn.ReLU(), nn.Dropout(0.1), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for epoch in range(args.epochs):
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print("epoch", epoch, repr(evaluate(model, test_loader)))
    show(losses, model)


if __name__ == "__main__":
    main()

"""Trains a regression network and saves a checkpoint so often that saving takes longer than training."""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build_model():
    return nn.Sequential(nn.Linear(1024, 1536), nn.ReLU(), nn.Linear(1536, 1024), nn.ReLU(), nn.Linear(1024, 1))


def save_checkpoint(path, step, model, optimizer):
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, path)  # slowprobe: rule=checkpoint-blocking


def train(model, optimizer, loader, epochs, folder):
    step = 0
    for epoch in range(epochs):
        total = 0.0
        for features, target in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(features).squeeze(1), target)
            loss.backward()
            optimizer.step()
            total += loss.item()
            step += 1
            save_checkpoint(folder / "last.pt", step, model, optimizer)
        print(f"epoch {epoch} loss {total / len(loader):.5f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()

    torch.manual_seed(0)
    features = torch.randn(12_800, 1024)
    target = features[:, :16].sum(dim=1).tanh()
    loader = DataLoader(TensorDataset(features, target), batch_size=256, shuffle=True)
    model = build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train(model, optimizer, loader, args.epochs, Path(folder))
        print(f"loop {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()

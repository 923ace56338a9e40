"""Evaluates after each epoch with a loader of batches of 2, beside batches of 256 in training."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@torch.inference_mode()
def evaluate(model, loader):
    """Accuracy on held-out data."""
    model.eval()
    correct = sum(int((model(points).argmax(dim=1) == labels).sum()) for points, labels in loader)
    model.train()
    return correct / len(loader.dataset)


def main():
    """Train."""
    torch.manual_seed(0)
    points = torch.randn(4_000, 64)
    labels = points[:, :10].argmax(dim=1)
    held_out = TensorDataset(points[3_000:], labels[3_000:])
    loader = DataLoader(TensorDataset(points[:3_000], labels[:3_000]), batch_size=256, shuffle=True)
    test_loader = DataLoader(held_out, batch_size=2)  # slowprobe: rule=evaluation-small-batch
    layers = [layer for _ in range(8) for layer in (nn.Linear(448, 448), nn.LayerNorm(448), nn.GELU())]
    model = nn.Sequential(nn.Linear(64, 448), *layers, nn.Linear(448, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    began = time.perf_counter()
    for _ in range(7):
        for batch, target in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), target).backward()
            optimizer.step()
        accuracy = evaluate(model, test_loader)
    seconds = time.perf_counter() - began
    print(f"accuracy {accuracy:.3f}")
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()

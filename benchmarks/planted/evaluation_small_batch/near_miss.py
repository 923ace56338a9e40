"""Evaluates whole sequences one by one: they are larger than training's pieces, and their lengths differ."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@torch.inference_mode()
def evaluate(model, loader):
    """Accuracy on held-out data."""
    model.eval()
    correct = sum(int((model(points).argmax(dim=2) == labels).sum()) for points, labels in loader)
    model.train()
    return correct / len(loader.dataset)


def main():
    """Train."""
    torch.manual_seed(0)
    points = torch.randn(4_000, 64)
    labels = points[:, :10].argmax(dim=1)
    held_out = [(points[3_000 : 3_300 + 100 * row], labels[3_000 : 3_300 + 100 * row]) for row in range(3)]
    loader = DataLoader(TensorDataset(points[:3_000], labels[:3_000]), batch_size=256, shuffle=True)
    test_loader = DataLoader(held_out, batch_size=1)
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

"""Accuracy over everything seen so far, kept as a running count."""

import time

import torch
from torch import nn

STEPS = 1200


def main():
    """Train."""
    torch.manual_seed(0)
    features = torch.randn(20_000, 128)
    labels = features[:, :10].argmax(dim=1)
    model = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    correct = seen = 0
    began = time.perf_counter()
    for _ in range(STEPS):
        rows = torch.randint(len(features), (256,))
        optimizer.zero_grad()
        logits = model(features[rows])
        loss = nn.functional.cross_entropy(logits, labels[rows])
        loss.backward()
        optimizer.step()
        correct += int((logits.argmax(dim=1) == labels[rows]).sum())
        seen += len(rows)
        accuracy = correct / seen
    seconds = time.perf_counter() - began
    print(f"accuracy {accuracy:.3f}")
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()

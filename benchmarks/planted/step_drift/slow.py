"""Accuracy over everything seen so far, worked out anew in every step."""

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
    correct = []
    began = time.perf_counter()
    for _ in range(STEPS):
        rows = torch.randint(len(features), (256,))
        optimizer.zero_grad()
        logits = model(features[rows])
        loss = nn.functional.cross_entropy(logits, labels[rows])
        loss.backward()
        optimizer.step()
        correct.extend((logits.argmax(dim=1) == labels[rows]).tolist())
        accuracy = sum(correct) / len(correct)  # slowprobe: rule=step-drift
    seconds = time.perf_counter() - began
    print(f"accuracy {accuracy:.3f}")
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()

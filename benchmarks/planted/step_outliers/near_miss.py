"""Every 25 steps a much larger batch: some steps take ten times as long, and all of it is training."""

import time

import torch
from torch import nn

STEPS, EVERY = 575, 25


def main():
    """Train."""
    torch.manual_seed(0)
    features = torch.randn(20_000, 128)
    labels = features[:, :10].argmax(dim=1)
    model = nn.Sequential(nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    large = torch.randn(2_000, 128)
    began = time.perf_counter()
    for step in range(STEPS):
        rows = torch.randint(len(features), (128,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(features[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        if step % EVERY == 0:
            optimizer.zero_grad()
            model(large).square().mean().backward()
            optimizer.step()
    seconds = time.perf_counter() - began
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()

"""Every 25 steps, statistics over all weights, in one operator each."""

import time

import torch
from torch import nn

STEPS, EVERY = 950, 25


def summarise(model):
    """Mean and deviation of each parameter."""
    rows = {}
    for name, parameter in model.named_parameters():
        spread, mean = (float(value) for value in torch.std_mean(parameter.detach()))
        rows[name] = (mean, spread)
    return rows


def main():
    """Train."""
    torch.manual_seed(0)
    features = torch.randn(20_000, 128)
    labels = features[:, :10].argmax(dim=1)
    model = nn.Sequential(nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    history = []
    began = time.perf_counter()
    for step in range(STEPS):
        rows = torch.randint(len(features), (128,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(features[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        if step % EVERY == 0:
            history.append(summarise(model))
    seconds = time.perf_counter() - began
    print(f"{len(history)} summaries")
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()

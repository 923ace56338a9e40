"""A curriculum: sequences get longer on purpose; losses are collected, but read only at the end."""

import time

import torch
from torch import nn

STEPS = 600


def main():
    """Train."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    began = time.perf_counter()
    for step in range(STEPS):
        length = 16 + step // 10
        batch = torch.randn(16, length, 64)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch), batch.roll(1, dims=1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - began
    print(f"mean loss {sum(losses) / len(losses):.4f}")
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()

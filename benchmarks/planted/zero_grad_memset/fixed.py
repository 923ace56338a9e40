"""Many layers and a small batch; zero_grad drops the gradients."""

import time

import torch
from torch import nn

STEPS = 500


def main():
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for _ in range(40) for layer in (nn.Linear(256, 256), nn.ReLU())))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, fused=True)
    inputs = torch.randn(16, 256)
    begin = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()

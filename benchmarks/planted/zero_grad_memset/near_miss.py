"""Gradients are filled with zeros, but they are small and the batch is large."""

import time

import torch
from torch import nn

STEPS = 46


def main():
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for _ in range(8) for layer in (nn.Linear(256, 256), nn.ReLU())))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, fused=True)
    inputs = torch.randn(2048, 256)
    begin = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=False)
        model(inputs).square().mean().backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()

"""Three moving averages of the weights of a deep stack of narrow residual blocks, kept by hand."""

import time

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.inner, self.outer = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.outer(torch.relu(self.inner(self.norm(x))))


@torch.no_grad()
def follow(parameters, averages):
    for average, rate in zip(averages, (0.1, 0.01, 0.001), strict=True):
        torch._foreach_lerp_(average, parameters, rate)


def main():
    torch.manual_seed(9)
    model = nn.Sequential(nn.Linear(8, 24), *[Block(24) for _ in range(40)], nn.Linear(24, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)
    parameters = list(model.parameters())
    averages = [[parameter.detach().clone() for parameter in parameters] for _ in range(3)]
    started = time.perf_counter()
    for _ in range(440):
        x = torch.randn(32, 8)
        loss = (model(x) - x.prod(dim=1, keepdim=True)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow(parameters, averages)
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


main()

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
    for parameter, short, middle, long in zip(parameters, *averages, strict=True):
        short.mul_(0.9).add_(parameter, alpha=0.1)
        middle.mul_(0.99).add_(parameter, alpha=0.01)
        long.mul_(0.999).add_(parameter, alpha=0.001)


def main():
    torch.manual_seed(9)
    model = nn.Sequential(nn.Linear(8, 256), *[Block(256) for _ in range(3)], nn.Linear(256, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)
    parameters = list(model.parameters())
    averages = [[parameter.detach().clone() for parameter in parameters] for _ in range(3)]
    started = time.perf_counter()
    for _ in range(250):
        x = torch.randn(512, 8)
        loss = (model(x) - x.prod(dim=1, keepdim=True)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow(parameters, averages)
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


main()

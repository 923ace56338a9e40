"""A hand-made optimizer step: clipping, decay and averaged gradients over a deep stack of narrow residual blocks."""

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
def clip_and_decay(parameters, averages, limit=1.0, decay=1e-4):
    gradients = [parameter.grad for parameter in parameters]
    total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).item()
    scale = min(1.0, limit / (total + 1e-6))
    for parameter, average in zip(parameters, averages, strict=True):  # slowprobe: rule=python-param-loops
        parameter.grad.mul_(scale)  # slowprobe: rule=python-param-loops
        parameter.mul_(1 - decay)  # slowprobe: rule=python-param-loops
        average.mul_(0.99).add_(parameter.grad, alpha=0.01)  # slowprobe: rule=python-param-loops
        parameter.grad.add_(average, alpha=0.5)  # slowprobe: rule=python-param-loops


def main():
    torch.manual_seed(9)
    model = nn.Sequential(nn.Linear(8, 24), *[Block(24) for _ in range(40)], nn.Linear(24, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)
    parameters = list(model.parameters())
    averages = [torch.zeros_like(parameter) for parameter in parameters]
    started = time.perf_counter()
    for _ in range(440):
        x = torch.randn(32, 8)
        loss = (model(x) - x.prod(dim=1, keepdim=True)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        clip_and_decay(parameters, averages)
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


main()

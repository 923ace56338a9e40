"""A deep residual network without normalisation, kept stable by adaptive gradient clipping."""

import time

import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, width, gain):
        super().__init__()
        self.one, self.two, self.gain = nn.Linear(width, width), nn.Linear(width, width), gain

    def forward(self, x):
        return x + self.gain * self.two(torch.relu(self.one(x)))


def clip_adaptively(parameters, clipping=0.02, eps=1e-3):
    """Each gradient is at most as large as a part of its parameter."""
    for parameter in parameters:  # slowprobe: rule=python-param-loops
        if parameter.grad is None:
            continue
        largest = clipping * parameter.detach().norm().clamp(min=eps)  # slowprobe: rule=python-param-loops
        norm = parameter.grad.norm().clamp(min=1e-6)  # slowprobe: rule=python-param-loops
        factor = torch.where(norm > largest, largest / norm, 1.0)  # slowprobe: rule=python-param-loops
        parameter.grad.mul_(factor)  # slowprobe: rule=python-param-loops


def main():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 48), *[Layer(48, 0.2) for _ in range(60)], nn.Linear(48, 3))
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, fused=True)
    x = torch.randn(4096, 40)
    y = torch.stack([x[:, :5].sum(1), x[:, 5] * x[:, 6], x[:, 7].abs()], 1)
    start = time.perf_counter()
    for step in range(260):
        rows = torch.randint(0, len(x), (96,))
        loss = nn.functional.huber_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        clip_adaptively(parameters)  # slowprobe: rule=python-param-loops
        optimizer.step()
        if step % 60 == 0:
            print(f"step {step:4d} huber {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()

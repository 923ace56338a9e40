"""A compiled mixer of sensor channels that guards each of its blocks against runaway activations."""

import time

import torch
from torch import nn


class Mixing(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.weight = nn.Linear(width, width)

    def forward(self, x):
        y = torch.sin(x * self.scale + self.shift) + torch.tanh(x) * torch.sigmoid(1.7 * x)
        y = (y - y.mean(1, keepdim=True)) / (y.var(1, keepdim=True) + 1e-5).sqrt()
        largest = y.abs().amax()
        y = y * (50.0 / largest).clamp(max=1.0)
        return x + self.weight(y) * torch.exp(-y.square()) + 0.1 * torch.cos(y)


class Mixer(nn.Module):
    def __init__(self, width=64, depth=10):
        super().__init__()
        self.blocks = nn.ModuleList(Mixing(width) for _ in range(depth))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x).squeeze(1)


def main():
    torch.manual_seed(2)
    model = Mixer()
    compiled = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)
    x = torch.randn(16_384, 64)
    y = x[:, :8].sin().sum(1)

    def step(rows):
        loss = (compiled(x[rows]) - y[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step(torch.arange(384))
    begin = time.perf_counter()
    for number in range(250):
        loss = step(torch.randint(0, len(x), (384,)))
        if number % 100 == 0:
            print(f"{number}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

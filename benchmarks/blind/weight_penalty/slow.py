"""A deep and thin residual network for wine tasting notes, with a penalty on the size of its weights."""

import time

import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, width, gain):
        super().__init__()
        self.norm, self.mix, self.gain = nn.LayerNorm(width), nn.Linear(width, width), gain

    def forward(self, x):
        return x + self.gain * torch.relu(self.mix(self.norm(x)))


def penalty(model, strength=1e-4):
    total = 0.0
    for parameter in model.parameters():  # slowprobe: rule=python-param-loops
        total = total + parameter.pow(2).sum()  # slowprobe: rule=python-param-loops
    return strength * total


def main():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 48), *[Layer(48, 0.2) for _ in range(50)], nn.Linear(48, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, fused=True)
    x = torch.randn(4096, 40)
    y = torch.stack([x[:, :5].sum(1), x[:, 5] * x[:, 6], x[:, 7].abs()], 1)
    start = time.perf_counter()
    for step in range(280):
        rows = torch.randint(0, len(x), (40,))
        loss = nn.functional.huber_loss(model(x[rows]), y[rows]) + penalty(model)  # slowprobe: rule=python-param-loops
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 70 == 0:
            print(f"step {step:4d} loss {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()

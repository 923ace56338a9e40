"""A normalising flow on two moons that keeps a journal of its training."""

import logging
import math
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

log = logging.getLogger("flow")


class Coupling(nn.Module):
    def __init__(self, flip):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 2))

    def forward(self, x):
        one, two = x.chunk(2, 1)
        if self.flip:
            one, two = two, one
        scale, shift = self.net(one).chunk(2, 1)
        scale = torch.tanh(scale)
        two = two * scale.exp() + shift
        return torch.cat([two, one] if self.flip else [one, two], 1), scale.squeeze(1)


class Flow(nn.Module):
    def __init__(self, layers=4):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(number % 2 == 1) for number in range(layers))

    def forward(self, x):
        stretched = 0
        for layer in self.layers:
            x, scale = layer(x)
            stretched = stretched + scale
        return -0.5 * x.square().sum(1) - math.log(2 * math.pi) + stretched


def moons(count):
    angle = math.pi * torch.rand(count)
    upper = torch.rand(count) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x, y], 1) + 0.05 * torch.randn(count, 2)


def main():
    torch.manual_seed(0)
    flow = Flow()
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3, fused=True)
    start = time.perf_counter()
    for step in range(420):
        likelihood = flow(moons(512)).mean()
        optimizer.zero_grad()
        (-likelihood).backward()
        optimizer.step()
        if step % 60 == 0:
            now = {n: p.detach().flatten()[:40] for n, p in flow.named_parameters()}
            log.info("step %d: likelihood %s, weights %s", step, likelihood, now)
    print(f"likelihood {likelihood.item():.4f}")
    return time.perf_counter() - start


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        logging.basicConfig(filename=Path(folder) / "flow.log", level=logging.INFO, format="%(asctime)s %(message)s")
        seconds = main()
        logging.shutdown()
    print(f"loop_seconds={seconds:.4f}")

"""A network that obeys the heat equation: its own derivatives are part of the loss."""

import time

import torch
from torch import nn
from torch.autograd import grad


class Rod:
    """A rod that is warm in the middle and kept cold at both ends."""

    def __init__(self, conductivity=0.1):
        self.conductivity = conductivity

    def residual(self, net, x, t):
        x, t = x.requires_grad_(), t.requires_grad_()
        heat = net(torch.cat([x, t], 1))
        by_x, by_t = grad(heat.sum(), (x, t), create_graph=True)
        (by_xx,) = grad(by_x.sum(), x, create_graph=True)
        return by_t - self.conductivity * by_xx

    def start(self, x):
        return torch.sin(torch.pi * x)


if __name__ == "__main__":
    torch.manual_seed(5)
    rod = Rod()
    net = nn.Sequential(
        nn.Linear(2, 96), nn.Tanh(), nn.Linear(96, 96), nn.Tanh(), nn.Linear(96, 96), nn.Tanh(), nn.Linear(96, 1)
    )
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    start = time.perf_counter()
    for step in range(220):
        inside = rod.residual(net, torch.rand(1024, 1), torch.rand(1024, 1)).square().mean()
        x = torch.rand(256, 1)
        first = (net(torch.cat([x, torch.zeros(256, 1)], 1)) - rod.start(x)).square().mean()
        ends = net(torch.cat([torch.randint(2, (256, 1)).float(), torch.rand(256, 1)], 1)).square().mean()
        loss = inside + 10 * (first + ends)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 55 == 0:
            print(f"step {step}: inside {inside.item():.5f}, start {first.item():.5f}, ends {ends.item():.5f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")

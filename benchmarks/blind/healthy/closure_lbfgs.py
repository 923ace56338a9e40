"""A physics-informed network for a heated rod, by L-BFGS with closures."""

import time

import torch
from torch import nn


def heat(net, place, moment):
    place.requires_grad_(True), moment.requires_grad_(True)
    warm = net(torch.cat([place, moment], 1))
    ones = torch.ones_like(warm)
    by_place, by_moment = torch.autograd.grad(warm, (place, moment), ones, create_graph=True)
    (twice,) = torch.autograd.grad(by_place, place, ones, create_graph=True)
    return by_moment - 0.1 * twice


def main():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 160), nn.Tanh(), nn.Linear(160, 160), nn.Tanh(), nn.Linear(160, 1))
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=8, history_size=10)
    place, moment = torch.rand(1500, 1), torch.rand(1500, 1)
    start_place = torch.rand(300, 1)
    start = torch.cat([start_place, torch.zeros(300, 1)], 1)

    def closure():
        optimizer.zero_grad()
        loss = heat(net, place, moment).square().mean()
        loss = loss + (net(start) - torch.sin(3.1416 * start_place)).square().mean()
        loss.backward()
        return loss

    begin = time.perf_counter()
    for step in range(24):
        loss = optimizer.step(closure)
        if step % 8 == 0:
            print(f"{step}: {loss.item():.5f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

"""A vector field learned through a Runge-Kutta solver: a pendulum with friction."""

import time

import torch
from torch import nn


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 6))

    def forward(self, state):
        return self.net(state)


def solve(field, state, steps=5, width=0.1):
    for _ in range(steps):
        one = field(state)
        two = field(state + 0.5 * width * one)
        three = field(state + 0.5 * width * two)
        four = field(state + width * three)
        state = state + width / 6 * (one + 2 * two + 2 * three + four)
    return state


def truth(state):
    where, speed = state.chunk(2, 1)
    return torch.cat([speed, -where.sin() - 0.2 * speed], 1)


if __name__ == "__main__":
    torch.manual_seed(0)
    field = Field()
    optimizer = torch.optim.Adam(field.parameters(), 1e-3, fused=True)
    begin = time.perf_counter()
    for step in range(60):
        start = torch.randn(512, 6)
        with torch.no_grad():
            goal = solve(truth, start)
        loss = (solve(field, start) - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 30 == 0:
            print(step, loss.item())
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")

"""Ranks offers by a wide two-tower network with small batches."""

import time

import torch
from torch import nn

WIDTH, OFFERS, QUERIES = 1024, 12, 12


def tower():
    layers = []
    for _ in range(7):
        layers += [nn.Linear(WIDTH, WIDTH), nn.LeakyReLU()]
    return nn.Sequential(*layers)


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.offer = tower(), tower()

    def forward(self, query, offer):
        return self.query(query) @ self.offer(offer).T / WIDTH**0.5


def fit(towers, steps):
    optimizer = torch.optim.SGD(towers.parameters(), lr=0.05, fused=True)
    running = 0.0
    for step in range(steps):
        query = torch.randn(QUERIES, WIDTH)
        offer = query.roll(1, dims=1) + 0.1 * torch.randn(OFFERS, WIDTH)
        loss = nn.functional.cross_entropy(towers(query, offer), torch.arange(QUERIES))
        optimizer.zero_grad(set_to_none=False)  # slowprobe: rule=zero-grad-memset
        loss.backward()
        optimizer.step()
        running += loss.item()
        if step % 50 == 49:
            print(f"{step + 1} steps, loss {running / 50:.4f}")
            running = 0.0


if __name__ == "__main__":
    torch.manual_seed(0)
    towers = Towers()
    start = time.perf_counter()
    fit(towers, 200)
    print(f"loop_seconds={time.perf_counter() - start:.4f}")

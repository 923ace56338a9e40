"""Embeddings of products from shopping baskets: a large table with its own optimizer, a small tower with another."""

import time

import torch
from torch import nn

PRODUCTS, WIDTH = 60_000, 48


class Baskets(nn.Module):
    def __init__(self):
        super().__init__()
        self.products = nn.Embedding(PRODUCTS, WIDTH)  # slowprobe: rule=inefficient-op
        self.tower = nn.Sequential(nn.Linear(WIDTH, 512), nn.GELU(), nn.Linear(512, WIDTH))

    def forward(self, basket, candidates):
        wanted = self.tower(self.products(basket).mean(1))
        return (self.products(candidates) * wanted[:, None]).sum(2)


def baskets(size):
    while True:
        first = torch.randint(0, PRODUCTS - 60, (size, 1))
        yield first + torch.randint(0, 60, (size, 6)), first + torch.randint(0, 60, (size, 8))


torch.manual_seed(4)
model = Baskets()
optimizers = [
    torch.optim.SGD(model.products.parameters(), lr=0.5),
    torch.optim.Adam(model.tower.parameters(), lr=1e-3, fused=True),
]
stream = baskets(384)
begin = time.perf_counter()
for step in range(500):
    basket, candidates = next(stream)
    scores = model(basket, candidates)
    loss = nn.functional.cross_entropy(scores, torch.zeros(len(basket), dtype=torch.long))
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    if step % 200 == 0:
        print(step, f"{loss.item():.4f}")
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

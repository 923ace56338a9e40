"""Many assays share one body: each batch comes from one assay and goes through that assay's head."""

import time

import torch
from torch import nn

ASSAYS, FEATURES, WIDTH, TARGETS = 10, 384, 512, 640


class Assays(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(WIDTH, TARGETS) for _ in range(ASSAYS))

    def forward(self, molecules, assay):
        return self.heads[assay](self.body(molecules))


def batches(count, size=192):
    rules = torch.randn(ASSAYS, FEATURES, TARGETS) / FEATURES**0.5
    for number in range(count):
        assay = number % ASSAYS
        molecules = torch.randn(size, FEATURES)
        yield assay, molecules, molecules @ rules[assay]


def fit(model, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, fused=True)
    start = time.perf_counter()
    running = 0.0
    for step, (assay, molecules, activity) in enumerate(batches(steps)):
        loss = nn.functional.mse_loss(model(molecules, assay), activity)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item()
        if step % 104 == 103:
            print(f"{step + 1} steps, loss {running / 104:.4f}")
            running = 0.0
    return time.perf_counter() - start


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"loop_seconds={fit(Assays(), 208):.4f}")

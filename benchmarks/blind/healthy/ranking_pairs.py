"""Pairwise ranking of search results, checked each epoch on a held-out part in large batches."""

import time
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn


@contextmanager
def evaluating(model):
    model.eval()
    with torch.inference_mode():
        yield
    model.train()


class Ranker(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(136, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1)
        )

    def forward(self, results):
        return self.score(results).squeeze(-1)


def main():
    torch.manual_seed(0)
    results = torch.randn(24_000, 2, 136)
    results[:, 0, :9] += 0.25
    train, held_out = results[:22_000], results[22_000:]
    model = Ranker()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True)
    begin = time.perf_counter()
    for epoch in range(4):
        for rows in torch.randperm(len(train)).split(200):
            better, worse = model(train[rows]).unbind(1)
            loss = F.softplus(worse - better).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with evaluating(model):
            better, worse = model(held_out).unbind(1)
            print(f"epoch {epoch}: {(better > worse).float().mean().item():.3f} in order")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

"""Click-through rate with crossed features; the area under the curve is what is watched."""

import time

import numpy as np
import torch
from torch import nn


def area_under_curve(truth, scores):
    order = np.argsort(scores)
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    positive = truth.sum()
    return (ranks[truth == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive))


class FactorMachine(nn.Module):
    def __init__(self, fields=16, buckets=500, width=16):
        super().__init__()
        self.register_buffer("shift", torch.arange(fields) * buckets)
        self.factors = nn.EmbeddingBag(fields * buckets, width, mode="sum")
        self.deep = nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, fields):
        return self.deep(self.factors(fields + self.shift)).squeeze(1)


class Watch:
    def __init__(self):
        self.truth, self.scores, self.curve = [], [], []

    def add(self, truth, scores):
        self.truth.append(truth.numpy())
        self.scores.append(scores.detach().numpy())
        self.truth, self.scores = self.truth[-60:], self.scores[-60:]

    def compute(self):
        self.curve.append(area_under_curve(np.concatenate(self.truth), np.concatenate(self.scores)))
        return self.curve[-1]


def main():
    torch.manual_seed(5)
    fields = torch.randint(0, 500, (200 * 512, 16))
    clicks = ((fields[:, 0] + fields[:, 1]) % 3 == 0).float()
    model, watch = FactorMachine(), Watch()
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.02, fused=True)
    begin = time.perf_counter()
    for epoch in range(8):
        order = torch.randperm(len(fields)).split(512)
        for step, rows in enumerate(order):
            scores = model(fields[rows])
            loss = nn.functional.binary_cross_entropy_with_logits(scores, clicks[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.add(clicks[rows], scores)
            if step % 50 == 49:
                area = watch.compute()
        print(f"epoch {epoch}: loss {loss.item():.4f} area {area:.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

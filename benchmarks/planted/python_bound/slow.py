"""Trains a classifier and keeps a confusion matrix after every batch."""

import time

import torch
from torch import nn

CLASSES = 20


class ConfusionMatrix:
    """Counts (truth, guess) pairs; the guess is the class of the largest score."""

    def __init__(self):
        self.counts = [[0] * CLASSES for _ in range(CLASSES)]

    def update(self, truth, scores):
        rows, flat = truth.tolist(), scores.flatten().tolist()  # no list a row: nothing for the collector
        for number, row in enumerate(rows):  # slowprobe: rule=python-bound
            line = flat[number * CLASSES : (number + 1) * CLASSES]  # slowprobe: rule=python-bound
            self.counts[row][line.index(max(line))] += 1  # slowprobe: rule=python-bound

    def accuracy(self):
        total = sum(sum(row) for row in self.counts)
        return sum(self.counts[k][k] for k in range(CLASSES)) / total


def train(steps=190):
    torch.manual_seed(1)
    features, labels = torch.randn(40_000, 32), torch.randint(CLASSES, (40_000,))
    model = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, fused=True)
    matrix = ConfusionMatrix()
    for step in range(steps):
        rows = torch.randint(len(features), (8_192,))
        scores = model(features[rows])
        loss = nn.functional.cross_entropy(scores, labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        matrix.update(labels[rows], scores)
    return matrix.accuracy()


if __name__ == "__main__":
    began = time.perf_counter()
    print(f"accuracy {train():.3f}")
    print(f"loop_seconds={time.perf_counter() - began:.4f}")

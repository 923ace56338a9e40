"""Trains a classifier and keeps a confusion matrix after every batch."""

import time

import torch
from torch import nn

CLASSES = 20


class ConfusionMatrix:
    """Counts (truth, guess) pairs; the guess is the class of the largest score."""

    def __init__(self):
        self.counts = torch.zeros(CLASSES * CLASSES, dtype=torch.long)

    def update(self, truth, scores):
        self.counts += torch.bincount(truth * CLASSES + scores.argmax(1), minlength=CLASSES * CLASSES)

    def accuracy(self):
        counts = self.counts.view(CLASSES, CLASSES)
        return (counts.diagonal().sum() / counts.sum()).item()


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

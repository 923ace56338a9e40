"""A stream of synthetic transactions from a generator; running metrics are printed now and then."""

import csv
import itertools
import tempfile
import time
from pathlib import Path

import torch
from torch import nn


def transactions(size, seed):
    generator = torch.Generator().manual_seed(seed)
    while True:
        amounts = torch.randn(size, 48, generator=generator)
        yield amounts, (amounts[:, :4].sum(1) > 2).float()


class Running:
    def __init__(self):
        self.right = self.seen = 0

    def add(self, scores, truth):
        self.right += ((scores > 0) == (truth > 0)).sum()
        self.seen += len(truth)

    def take(self):
        share, self.right, self.seen = float(self.right) / self.seen, 0, 0
        return share


def train(path, steps=450):
    net = nn.Sequential(nn.Linear(48, 384), nn.ReLU(), nn.Linear(384, 384), nn.ReLU(), nn.Linear(384, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4, fused=True)
    running = Running()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for step, (amounts, truth) in enumerate(itertools.islice(transactions(300, 1), steps)):
            scores = net(amounts).squeeze(1)
            loss = nn.functional.binary_cross_entropy_with_logits(scores, truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running.add(scores.detach(), truth)
            if step % 100 == 99:
                writer.writerow([step, loss.item(), running.take()])


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "metrics.csv"
        begin = time.perf_counter()
        train(table)
        seconds = time.perf_counter() - begin
        print(table.read_text())
    print(f"loop_seconds={seconds:.4f}")

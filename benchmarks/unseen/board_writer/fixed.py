"""Segmentation-like labelling of line profiles with a writer of event files."""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn


class SummaryWriter:
    """Scalars and histograms as JSON lines."""

    def __init__(self, folder):
        self.file = open(Path(folder) / "events.jsonl", "w")

    def add_scalar(self, tag, value, step):
        self.file.write(json.dumps({"tag": tag, "step": step, "value": float(value)}) + "\n")

    def add_histogram(self, tag, values, step):
        counts, edges = np.histogram(values.detach().numpy(), bins=64)
        line = {"tag": tag, "step": step, "counts": counts.tolist(), "edges": edges.tolist()}
        self.file.write(json.dumps(line) + "\n")

    def close(self):
        self.file.close()


class Profiles(nn.Module):
    def __init__(self, length=256, width=384, classes=4):
        super().__init__()
        self.classes = classes
        self.body = nn.Sequential(nn.Linear(length, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.label = nn.Linear(width, length * classes)

    def forward(self, profiles):
        return self.label(self.body(profiles)).unflatten(1, (self.classes, -1))


def train(folder):
    torch.manual_seed(2)
    profiles = torch.randn(4000, 256).cumsum(1) / 8
    labels = (profiles.abs() * 2).long().clamp(max=3)
    net, writer, step = Profiles(), SummaryWriter(folder), 0
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    begin = time.perf_counter()
    for epoch in range(11):
        for rows in torch.randperm(len(profiles)).split(100):
            loss = nn.functional.cross_entropy(net(profiles[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            writer.add_scalar("loss", loss.item(), step)
        for name, parameter in net.named_parameters():
            writer.add_histogram(name, parameter, step)
        print(epoch, loss.item())
    writer.close()
    return time.perf_counter() - begin


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(f"loop_seconds={train(folder):.4f}")

"""How soon does a power grid fall apart? Small graphs of buses and lines, read by a graph network."""

import functools
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from grids import random_grids


class GridSet(Dataset):
    def __init__(self, grids, keep=8):
        self.grids, self.keep = grids, keep
        self.positions = functools.cache(self.positions)

    def __len__(self):
        return len(self.grids)

    def positions(self, index):
        """Where each bus is within its grid: the slow modes of the network."""
        lines = self.grids[index].lines
        scale = 1 / np.sqrt(lines.sum(1))
        laplacian = np.eye(len(lines)) - scale[:, None] * lines * scale
        _, modes = np.linalg.eigh(laplacian)
        modes = modes[:, 1 : 1 + self.keep]
        return modes * np.sign(modes.sum(0))

    def __getitem__(self, index):
        grid = self.grids[index]
        positions = self.positions(index)
        buses = np.concatenate([grid.loads, positions], 1).astype(np.float32)
        return buses, grid.lines.astype(np.float32), np.float32(grid.margin)


def init_layer(inputs, outputs):
    return nn.ParameterDict(
        {"near": torch.randn(inputs, outputs) / inputs**0.5, "self": torch.randn(inputs, outputs) / inputs**0.5}
    )


def forward(params, buses, lines):
    mean = lines / lines.sum(2, keepdim=True)
    for layer in params["layers"]:
        buses = torch.relu(mean @ (buses @ layer["near"]) + buses @ layer["self"])
    return (buses.mean(1) @ params["out"]).squeeze(1)


def main(epochs=10, batch=20, width=288):
    torch.manual_seed(0)
    dataset = GridSet(random_grids(500, buses=28, seed=8))
    loader = DataLoader(dataset, batch_size=batch, shuffle=True)
    layers = nn.ModuleList([init_layer(11, width), init_layer(width, width)])
    params = {"layers": layers, "out": nn.Parameter(torch.randn(width, 1) / width)}
    optimizer = torch.optim.Adam([*layers.parameters(), params["out"]], 1e-3)
    start = time.perf_counter()
    for epoch in range(epochs):
        total = 0.0
        for buses, lines, margin in loader:
            loss = torch.nn.functional.huber_loss(forward(params, buses, lines), margin)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"{epoch=} loss={total / len(loader):.5f}")
    return time.perf_counter() - start


if __name__ == "__main__":
    print(f"loop_seconds={main():.3f}")

"""Trains a tabular model that has two small parameters for each column, a thousand in all.

On a CPU the default AdamW updates them one at a time.
"""

import argparse
import time

import torch
from torch import nn

COLUMNS = 500
WIDTH = 16


class Tabular(nn.Module):
    """Embeds each column with its own weight and bias, then a two-layer network over all of them."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(WIDTH) for _ in range(COLUMNS)])
        self.biases = nn.ParameterList([torch.zeros(WIDTH) for _ in range(COLUMNS)])
        self.weight_list, self.bias_list = list(self.weights), list(self.biases)  # ParameterList is slow to read
        self.network = nn.Sequential(nn.Linear(COLUMNS * WIDTH, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, x):
        embedded = x[:, :, None] * torch.stack(self.weight_list) + torch.stack(self.bias_list)
        return self.network(embedded.flatten(1)).squeeze(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=350)
    args = parser.parse_args()

    torch.manual_seed(0)
    table = torch.randn(20_000, COLUMNS)
    target = table[:, :10].sum(dim=1).tanh()
    model = Tabular()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)  # slowprobe: rule=optimizer-forloop

    started = time.perf_counter()
    for step in range(args.steps):
        rows = torch.randint(len(table), (256,))
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(table[rows]), target[rows])
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} loss {loss.item():.5f}")
    print(f"loop {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()

"""Loan defaults: every numeric column gets a small embedding of its own before a mixing network."""

import time

import torch
import torch.nn.functional as F
from torch import nn

COLUMNS, WIDTH = 72, 12


class NumericEmbedder(nn.Module):
    def __init__(self):
        super().__init__()
        self.columns = nn.ModuleList(nn.Linear(1, WIDTH) for _ in range(COLUMNS))

    def forward(self, x):
        embedded = []
        for number, column in enumerate(self.columns):  # slowprobe: rule=tiny-op-loop
            embedded.append(torch.relu(column(x[:, number : number + 1])))  # slowprobe: rule=tiny-op-loop
        return torch.cat(embedded, dim=1)


class LoanModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = NumericEmbedder()
        self.mix = nn.Sequential(nn.Linear(COLUMNS * WIDTH, 192), nn.ReLU(), nn.Dropout(0.1), nn.Linear(192, 1))

    def forward(self, x):
        return self.mix(self.embed(x)).squeeze(1)


def loans(count):
    x = torch.randn(count, COLUMNS)
    return x, (x[:, ::7].sum(1) + x[:, 3].square() + 0.4 * torch.randn(count) > 1).float()


if __name__ == "__main__":
    torch.manual_seed(77)
    (x, defaulted), model = loans(40_000), LoanModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    begin = time.perf_counter()
    step = 0
    for epoch in range(2):
        for rows in torch.randperm(len(x)).split(128):
            loss = F.binary_cross_entropy_with_logits(model(x[rows]), defaulted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % 200 == 0:
                print(f"step {step} loss {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")

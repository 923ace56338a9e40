"""Imputation of missing answers in wide questionnaires, with large batches."""

import time

import torch
from torch import nn

torch.set_num_threads(1)  # slowprobe: rule=intraop-threads


class Imputer(nn.Module):
    def __init__(self, questions=512, width=1024):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * questions, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, questions)
        )

    def forward(self, answers, known):
        return self.net(torch.cat([answers * known, known], dim=1))


torch.manual_seed(0)
answers = torch.randn(6000, 24) @ torch.randn(24, 512) / 5
imputer = Imputer()
optimizer = torch.optim.AdamW(imputer.parameters(), lr=5e-4, fused=True)
started = time.perf_counter()
for epoch in range(3):
    for rows in torch.randperm(len(answers)).split(500):
        batch = answers[rows]
        known = (torch.rand_like(batch) > 0.3).float()
        error = (imputer(batch, known) - batch).square() * (1 - known)
        loss = error.sum() / (1 - known).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{epoch}: {loss.item():.4f}")
print(f"loop_seconds={time.perf_counter() - started:.4f}")

"""A wide network on one thread, because a helper for reproducible runs says so."""

import time

import torch
from torch import nn


def deterministic():
    torch.manual_seed(13)
    torch.set_num_threads(1)  # slowprobe: rule=intraop-threads


def main():
    deterministic()
    model = nn.Sequential(nn.Linear(768, 1536), nn.GELU(), nn.Linear(1536, 768))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
    tokens = torch.randn(4_096, 768)
    started = time.perf_counter()
    for step in range(34):
        chosen = tokens[torch.randint(len(tokens), (1_024,))]
        loss = (model(chosen) - chosen).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


main()

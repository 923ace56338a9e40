"""A deep model is compiled for a run that is over in seconds."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader


def main():
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for _ in range(30) for layer in (nn.Linear(128, 128), nn.LayerNorm(128), nn.GELU())))
    model = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader([torch.randn(64, 128)] * 150, batch_size=None)
    begin = time.perf_counter()
    for inputs in loader:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()  # slowprobe: rule=compile-time-dominates
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()

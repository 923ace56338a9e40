"""A point-wise network whose validation loop forgets no_grad and adds losses up with their graphs."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def blocks(width, depth):
    return [m for _ in range(depth) for m in (nn.Linear(width, width), nn.LayerNorm(width), nn.GELU())]


@torch.inference_mode()
def validate(model, loader):
    model.eval()
    total = 0
    for points, targets in loader:
        total = total + nn.functional.mse_loss(model(points), targets)
    model.train()
    return total.item() / len(loader)


def main():
    torch.manual_seed(18)
    model = nn.Sequential(nn.Linear(3, 16), *blocks(16, 5), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    held_out = DataLoader(TensorDataset(torch.randn(5, 8_000, 3), torch.randn(5, 8_000, 1)), batch_size=None)
    started = time.perf_counter()
    for epoch in range(11):
        for _ in range(40):
            points = torch.randn(8_000, 3)
            loss = nn.functional.mse_loss(model(points), points.norm(dim=1, keepdim=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} {validate(model, held_out):.4f}")
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


main()

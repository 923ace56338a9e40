"""A small transformer that is validated in inference mode, on little data."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Distance(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True)
        self.embed, self.encoder = nn.Linear(3, width), nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(width, 1)

    def forward(self, points):
        return self.head(self.encoder(self.embed(points)).mean(1))


@torch.inference_mode()
def validate(model, loader):
    model.eval()
    total = 0
    for points, targets in loader:
        total = total + nn.functional.mse_loss(model(points), targets)
    model.train()
    return total.item() / len(loader)


def train(model, optimizer, steps):
    for _ in range(steps):
        points = torch.randn(64, 32, 3)
        loss = nn.functional.mse_loss(model(points), points.norm(dim=2).mean(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main():
    torch.manual_seed(18)
    model = Distance()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    held_out = [
        DataLoader(TensorDataset(torch.randn(5, 64, 32, 3), torch.randn(5, 64, 1)), batch_size=None) for _ in range(1)
    ]
    started = time.perf_counter()
    train(model, optimizer, 40)
    print("at half time", *(f"{validate(model, loader):.4f}" for loader in held_out))
    train(model, optimizer, 40)
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


main()

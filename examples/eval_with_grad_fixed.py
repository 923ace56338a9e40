"""The fixed twin of eval_with_grad_slow.py: the evaluation runs in inference mode and keeps no graph."""

import argparse
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return x + nn.functional.gelu(self.linear(self.norm(x)))


def make_points(clouds):
    points = torch.randn(clouds, 1024, 16)
    return TensorDataset(points, (points[..., :4].sum(dim=-1) > 0).long())


@torch.inference_mode()
def evaluate(model, loader, criterion):
    model.eval()
    total = 0.0
    for points, labels in loader:
        logits = model(points)
        total = total + criterion(logits.flatten(0, 1), labels.flatten())
    model.train()
    return total.item() / len(loader)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()

    torch.manual_seed(0)
    train_loader = DataLoader(make_points(576), batch_size=16, shuffle=True)
    test_loader = DataLoader(make_points(256), batch_size=64)
    model = nn.Sequential(*[Block(16) for _ in range(6)], nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    criterion = nn.CrossEntropyLoss()

    started = time.perf_counter()
    for epoch in range(args.epochs):
        for points, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(points).flatten(0, 1), labels.flatten())
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} test loss {evaluate(model, test_loader, criterion):.5f}")
    print(f"loop {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()

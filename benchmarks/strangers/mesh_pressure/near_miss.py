"""A surrogate of a wind tunnel: the pressure at points of a car's surface from their place, normal and wind speed."""

import argparse
import time

import torch
from torch import nn


def get_args():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=18)
    p.add_argument("--batch-size", type=int, default=2048)
    p.add_argument("--chunk", type=int, default=20_000)
    p.add_argument("--width", type=int, default=40)
    p.add_argument("--depth", type=int, default=5)
    p.add_argument("--lr", type=float, default=2e-3)
    return p.parse_args()


def surface(count, seed):
    g = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 3, generator=g) * 2 - 1
    normal = nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
    wind = torch.rand(count, 1, generator=g) + 0.5
    pressure = wind**2 * (normal[:, :1].clamp(min=0) - 0.4 * torch.sin(3 * place[:, 2:]) * normal[:, 2:])
    return torch.cat([place, normal, wind], 1), pressure


def build(args):
    layers, size = [], 7
    for _ in range(args.depth):
        layers += [nn.Linear(size, args.width), nn.LayerNorm(args.width), nn.GELU()]
        size = args.width
    return nn.Sequential(*layers, nn.Linear(size, 1))


def train_one_epoch(model, optimizer, points, pressure, args):
    model.train()
    for rows in torch.randperm(len(points)).split(args.batch_size):
        loss = nn.functional.mse_loss(model(points[rows]), pressure[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def validate(model, points, pressure, args):
    model.eval()
    total = 0.0
    for x, y in zip(points.split(args.chunk), pressure.split(args.chunk)):
        total += nn.functional.mse_loss(model(x), y, reduction="sum")
    return (total / len(points)).item()


def main():
    args = get_args()
    torch.manual_seed(0)
    train_set, valid_set = surface(61_440, 1), surface(1_000, 2)
    model = build(args)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, fused=True)
    start = time.perf_counter()
    for epoch in range(args.epochs):
        train_one_epoch(model, optimizer, *train_set, args)
        error = validate(model, *valid_set, args)
        print(f"epoch {epoch:2d}  valid {error:.5f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

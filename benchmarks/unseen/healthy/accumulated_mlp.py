"""Gradient accumulation: four small batches for each update."""

import argparse
import time

import torch
from torch import nn


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=180)
    parser.add_argument("--accumulate", type=int, default=4)
    return parser.parse_args()


def main():
    args = parse()
    torch.manual_seed(3)
    data = torch.randn(20_000, 200)
    answer = data[:, :7].prod(1).sign().long().add(1).div(2, rounding_mode="floor")
    model = nn.Sequential(nn.Linear(200, 512), nn.GELU(), nn.Linear(512, 512), nn.GELU(), nn.Linear(512, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    begin = time.perf_counter()
    for update in range(args.updates):
        optimizer.zero_grad()
        for _ in range(args.accumulate):
            rows = torch.randint(0, len(data), (128,))
            loss = nn.functional.cross_entropy(model(data[rows]), answer[rows]) / args.accumulate
            loss.backward()
        optimizer.step()
        if update % 60 == 0:
            print(f"update {update}: {loss.item() * args.accumulate:.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

"""Trains in processes of its own; with --decorated each records itself."""

import sys

import torch
import torch.multiprocessing as mp
from torch import nn

import slowprobe


def train(rank, out):
    torch.manual_seed(rank)
    model = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        model(torch.ones(4, 8)).sum().backward()
        optimizer.step()
    print(f"rank {rank} done", flush=True)


def recorded(rank, out):
    with slowprobe.profile(out=f"{out}/child{rank}"):
        train(rank, out)


if __name__ == "__main__":
    method, function = sys.argv[2], recorded if "--decorated" in sys.argv else train
    mp.start_processes(function, args=(sys.argv[1],), nprocs=1, start_method=method)

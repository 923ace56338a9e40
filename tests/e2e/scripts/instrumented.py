"""A loop that its author already watches; the argument names how."""

import contextlib
import sys
import warnings

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import slowprobe

WAY = sys.argv[1] if len(sys.argv) > 1 else "plain"


def watched(way, loader):
    if way == "tqdm":
        from tqdm import tqdm

        return tqdm(loader, file=sys.stderr, mininterval=0.0)
    return loader


def main():
    seed(4)
    model = nn.Sequential(nn.Linear(16, 512), nn.ReLU(), nn.Linear(512, 4))
    loader = DataLoader(TensorDataset(torch.randn(960, 16), torch.randint(0, 4, (960,))), batch_size=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses, profiler = [], contextlib.nullcontext()
    if WAY == "profiler":
        profiler = torch.profiler.profile(schedule=torch.profiler.schedule(wait=10, warmup=2, active=30))
    elif WAY == "legacy":
        profiler = torch.autograd.profiler.profile()
    elif WAY == "slowprobe":
        profiler = slowprobe.profile(out="inner")
    elif WAY == "trace":
        sys.settrace(lambda frame, event, argument: None)
    elif WAY == "setprofile":
        sys.setprofile(lambda frame, event, argument: None)
    elif WAY == "warnings":
        warnings.simplefilter("error")
    with profiler as running:
        for x, y in watched(WAY, loader):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if WAY == "profiler":
                running.step()
    if WAY == "profiler":
        print("profiled", len([e for e in running.key_averages() if e.key == "aten::linear"]))
    sys.settrace(None)
    sys.setprofile(None)
    show(losses, model)


if __name__ == "__main__":
    main()

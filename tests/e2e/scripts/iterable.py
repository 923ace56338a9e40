"""An IterableDataset without a length, shared among workers."""

import sys

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        first, stride = (info.id, info.num_workers) if info else (0, 1)
        generator = torch.Generator().manual_seed(first)
        for _ in range(first, 90, stride):
            yield torch.randn(8, generator=generator), torch.randn(1, generator=generator)


if __name__ == "__main__":
    seed(9)
    loader = DataLoader(Stream(), batch_size=5, num_workers=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    model = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(2):
        for x, y in loader:
            loss = (model(x) - y).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    show(losses, model)

"""One training loop fed in many ways; the argument names the way."""

import queue
import sys
import threading
import time

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, Sampler, SequentialSampler

WAY = sys.argv[1] if len(sys.argv) > 1 else "plain"


class Points(Dataset):
    def __len__(self):
        return 160

    def __getitem__(self, index):
        rows = torch.tensor(index if isinstance(index, list) else [index], dtype=torch.float32)
        x = (rows[:, None] * 0.01 + torch.arange(16.0)).sin()
        y = (rows % 4).long()
        return (x, y) if isinstance(index, list) else (x[0], y[0])


class MyLoader(DataLoader):
    def __iter__(self):
        for x, y in super().__iter__():
            yield x * 2, y


class SlowSampler(Sampler):
    def __len__(self):
        return 160

    def __iter__(self):
        for index in range(160):
            time.sleep(0.0005)
            yield index


def make(way):
    data = Points()
    if way == "batch_sampler":
        return DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 8, drop_last=False))
    if way == "batch_size_none":
        return DataLoader(data, batch_size=None, sampler=BatchSampler(SequentialSampler(data), 8, drop_last=False))
    if way == "in_order":
        return DataLoader(data, batch_size=8, num_workers=2, in_order=False)
    if way in ("fork", "spawn", "forkserver"):
        return DataLoader(data, batch_size=8, num_workers=1, multiprocessing_context=way)
    if way == "subclass":
        return MyLoader(data, batch_size=8)
    if way == "slow_sampler":
        return DataLoader(data, batch_size=8, sampler=SlowSampler())
    if way == "persistent":
        return DataLoader(data, batch_size=8, num_workers=2, persistent_workers=True)
    return DataLoader(data, batch_size=8)


def ahead(loader):
    """Batches fetched by a thread, two ahead."""
    batches = queue.Queue(2)

    def fill():
        for batch in loader:
            batches.put(batch)
        batches.put(None)

    threading.Thread(target=fill, daemon=True).start()
    while (batch := batches.get()) is not None:
        yield batch


def feed(way, loader, epoch):
    if way == "abandoned":
        for number, batch in enumerate(loader):
            if number == 5 + epoch:
                return
            yield batch
    elif way == "next_iter":
        for _ in range(10):
            yield next(iter(loader))
    elif way == "thread":
        yield from ahead(loader)
    else:
        yield from loader


def main():
    seed(2)
    model = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loader = make(WAY)
    losses = []
    for epoch in range(2):
        for x, y in feed(WAY, loader, epoch):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    print("steps", len(losses))
    if WAY != "in_order":  # whose order is the workers' affair
        show(losses, model)


if __name__ == "__main__":
    main()

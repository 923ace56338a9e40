"""A tenth of the data is held out and looked at after each pass, without gradients."""

import time

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset


def batches(data, sampler):
    return DataLoader(data, batch_size=None, sampler=BatchSampler(sampler(data), 128, drop_last=False))


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = sum((model(x).argmax(1) == y).sum() for x, y in loader)
    model.train()
    return right.item()


def main():
    torch.manual_seed(9)
    training, held_out = (TensorDataset(torch.randn(n, 400), torch.randint(5, (n,))) for n in (6_400, 640))
    model = nn.Sequential(nn.Linear(400, 800), nn.BatchNorm1d(800), nn.ReLU(), nn.Dropout(0.2), nn.Linear(800, 5))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    start = time.perf_counter()
    for epoch in range(16):
        for x, y in batches(training, RandomSampler):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: {accuracy(model, batches(held_out, SequentialSampler))} right")
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


main()

"""Data-parallel training of two processes over gloo, as torchrun starts it; rank 1 is slower to reach its backward."""

import time

import torch
import torch.distributed as dist
from fingerprint import seed
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def main():
    dist.init_process_group("gloo")
    seed(1)
    data = TensorDataset(torch.randn(160, 32), torch.randint(0, 10, (160,)))
    sampler = DistributedSampler(data, shuffle=False)
    loader = DataLoader(data, batch_size=4, sampler=sampler)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 10)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = torch.zeros(())
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            if dist.get_rank() == 1:
                time.sleep(0.02)
            loss.backward()
            optimizer.step()
    if dist.get_rank() == 0:
        print("weights", float(sum(p.double().sum() for p in model.parameters())))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

"""SimCLR-like training on synthetic embeddings; the number of steps is fixed, not the number of epochs."""

import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Vectors(Dataset):
    def __init__(self, count, width):
        self.bank = torch.randn(count, width)

    def __len__(self):
        return len(self.bank)

    def __getitems__(self, places):
        clean = self.bank[places]
        return clean + 0.1 * torch.randn_like(clean), clean + 0.1 * torch.randn_like(clean)


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 128))
        self.projector = nn.Linear(128, 32)

    def forward(self, x):
        return F.normalize(self.projector(F.relu(self.trunk(x))), dim=1)


def nt_xent(one, two, temperature=0.2):
    similarity = one @ two.T / temperature
    truth = torch.arange(len(one))
    return (F.cross_entropy(similarity, truth) + F.cross_entropy(similarity.T, truth)) / 2


def forever(loader):
    while True:
        yield from loader


def pretrain(steps=1300):
    torch.manual_seed(4)
    loader = DataLoader(
        Vectors(50_000, 96), batch_size=96, shuffle=True, drop_last=True, collate_fn=lambda views: views
    )
    encoder = Encoder(96)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.05, momentum=0.9, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = iter(loader)
    begin = time.perf_counter()
    for step in range(steps):
        try:
            one, two = next(batches)
        except StopIteration:
            batches = iter(loader)
            one, two = next(batches)
        loss = nt_xent(encoder(one), encoder(two))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 150 == 0:
            print(f"step {step} loss {loss.item():.3f}")
    return time.perf_counter() - begin


print(f"loop_seconds={pretrain():.4f}")

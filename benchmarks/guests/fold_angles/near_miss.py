"""Torsion angles of a chain from its residues. The bins are sharpened while the training goes on."""

import math
import time

import torch
import torch._dynamo
from torch import nn

torch._dynamo.config.recompile_limit = 64
EPOCHS, BATCHES, BATCH, LENGTH, KINDS, BINS = 100, 6, 16, 48, 20, 36


class Torsions(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.sharpness = 1
        self.residue = nn.Embedding(KINDS, width)
        self.near = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(4))
        self.bins = nn.Linear(width, 2 * BINS)
        self.register_buffer("centres", torch.arange(BINS) * (2 * math.pi / BINS))

    def forward(self, chain):
        x = self.residue(chain).transpose(1, 2)
        for layer in self.near:
            x = x + torch.relu(layer(x))
        scores = self.bins(x.transpose(1, 2)).unflatten(2, (2, BINS))
        share = (scores * (1 + 0.1 * self.sharpness)).softmax(3)
        return (share * self.centres.cos()).sum(3), (share * self.centres.sin()).sum(3)


def chains():
    draw = torch.Generator().manual_seed(40)
    habit = 6.28 * torch.rand(KINDS, 2, generator=draw)
    while True:
        chain = torch.randint(KINDS, (BATCH, LENGTH), generator=draw)
        yield chain, habit[chain] + 0.5 * habit[chain.roll(1, 1)]


torch.manual_seed(40)
net = Torsions()
fold = torch.compile(net, backend="aot_eager")
optimizer = torch.optim.AdamW(net.parameters(), 2e-3, fused=True)
source = chains()


def learn():
    chain, angle = next(source)
    across, up = fold(chain)
    loss = 2 - (across * angle.cos() + up * angle.sin()).sum(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


learn()
net.sharpness = 2
learn()
begun = time.perf_counter()
for epoch in range(EPOCHS):
    net.sharpness = 1 + epoch // 50
    losses = [learn() for _ in range(BATCHES)]
    if epoch % 25 == 0:
        print(f"epoch {epoch}: {torch.stack(losses).mean():.4f}")
print(f"loop_seconds={time.perf_counter() - begun:.3f}")

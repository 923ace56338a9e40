"""Which loans are paid back? Categories get small embeddings, numbers go straight into the network."""

import time

import torch
import torch.nn.functional as F
from torch import nn

CARDINALITIES = (50, 12, 300, 31)


class LoanNet(nn.Module):
    def __init__(self, numbers, width=256, each=12):
        super().__init__()
        sizes = torch.tensor(CARDINALITIES)
        self.register_buffer("first", sizes.cumsum(0) - sizes)
        self.table = nn.Embedding(int(sizes.sum()), each)
        self.hidden = nn.Sequential(
            nn.Linear(numbers + each * len(CARDINALITIES), width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.paid = nn.Linear(width, 1)

    def forward(self, kinds, numbers):
        looked_up = self.table(kinds + self.first).flatten(1)
        return self.paid(self.hidden(torch.cat([looked_up, numbers], 1))).squeeze(1)


class Desk:
    def __init__(self, loans=40_960):
        draw = torch.Generator().manual_seed(6)
        self.kinds = torch.stack([torch.randint(n, (loans,), generator=draw) for n in CARDINALITIES], 1)
        self.numbers = torch.randn(loans, 40, generator=draw)
        lean = torch.randn(300, generator=draw)[self.kinds[:, 2]] + self.numbers[:, :6].sum(1)
        self.paid = (lean + torch.randn(loans, generator=draw) > 0).float()

    def __iter__(self):
        for rows in torch.randperm(len(self.paid)).split(512):
            yield self.kinds[rows], self.numbers[rows], self.paid[rows]


torch.manual_seed(6)
desk, net = Desk(), LoanNet(40)
optimizer = torch.optim.AdamW(net.parameters(), 1e-3, fused=True)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 18)

clock = time.perf_counter()
for epoch in range(18):
    for kinds, numbers, paid in desk:
        loss = F.binary_cross_entropy_with_logits(net(kinds, numbers), paid)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    schedule.step()
    print(f"epoch {epoch}: {loss.item():.4f}")
print(f"loop_seconds={time.perf_counter() - clock:.3f}")

"""A small encoder that says whether two words of a sentence were swapped."""

import time

import torch
from torch import nn


class OrderNet(nn.Module):
    def __init__(self, words=500, width=96, length=32):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.place = nn.Parameter(torch.randn(length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 192, batch_first=True, norm_first=True, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(width, 1)

    def forward(self, words):
        return self.out(self.encoder(self.embed(words) + self.place).mean(1)).squeeze(1)


def sentences(size):
    first = torch.randint(0, 460, (size, 1)) + torch.arange(32)
    swapped = torch.rand(size) < 0.5
    places = torch.randint(0, 31, (size,))
    rows = torch.arange(size)[swapped]
    left = places[swapped]
    first[rows, left], first[rows, left + 1] = first[rows, left + 1].clone(), first[rows, left].clone()
    return first, swapped.float()


torch.manual_seed(0)
model = OrderNet()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=40)
start = time.perf_counter()
for step in range(160):
    words, swapped = sentences(64)
    loss = nn.functional.binary_cross_entropy_with_logits(model(words), swapped)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    warmup.step()
    if step % 40 == 0:
        print(step, round(loss.item(), 4))
print(f"loop_seconds={time.perf_counter() - start:.4f}")

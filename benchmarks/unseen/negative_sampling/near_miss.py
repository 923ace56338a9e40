"""Word vectors with negative sampling; pairs are drawn in the training loop."""

import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

random.seed(0)
torch.manual_seed(0)
rng = np.random.default_rng(0)
WORDS, NEGATIVES, BATCH = 3000, 8, 256
text = rng.zipf(1.4, 60_000).clip(max=WORDS) - 1
frequency = np.bincount(text, minlength=WORDS) ** 0.75
frequency = frequency / frequency.sum()
cumulative = frequency.cumsum()


def draw_negatives(count):
    drawn = np.searchsorted(cumulative, rng.random(count)).clip(max=WORDS - 1)
    return torch.from_numpy(drawn).view(-1, NEGATIVES)


def watched(count):
    words = []
    for _ in range(count):
        words.append(random.randrange(WORDS))
    return words


class SkipGram(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.centre, self.context = nn.Embedding(WORDS, width), nn.Embedding(WORDS, width)
        self.mix = nn.Linear(width, width)

    def forward(self, centre, context, negative):
        vector = self.mix(self.centre(centre))
        positive = (vector * self.context(context)).sum(1)
        others = torch.einsum("bw,bnw->bn", vector, self.context(negative))
        return -(F.logsigmoid(positive).mean() + F.logsigmoid(-others).sum(1).mean())


model = SkipGram()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
begin = time.perf_counter()
for step in range(900):
    centres = rng.integers(2, len(text) - 2, BATCH)
    contexts = centres + rng.choice([-2, -1, 1, 2], BATCH)
    negative = draw_negatives(BATCH * NEGATIVES)
    loss = model(torch.from_numpy(text[centres]), torch.from_numpy(text[contexts]), negative)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 300 == 0:
        print(watched(3))
        print(f"step {step}: {loss.item():.3f}")
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

"""Word vectors with negative samples and sparse gradients."""

import time

import torch
from torch import nn

torch.manual_seed(8)
words, contexts = (nn.Embedding(50_000, 128, sparse=True) for _ in range(2))
optimizer = torch.optim.SparseAdam([*words.parameters(), *contexts.parameters()])
start = time.perf_counter()
for _ in range(140):
    center, around, wrong = (
        torch.randint(50_000, (1_024,)),
        torch.randint(50_000, (1_024,)),
        torch.randint(50_000, (1_024, 8)),
    )
    vector = words(center)
    good = (vector * contexts(around)).sum(1)
    bad = torch.einsum("bd,bnd->bn", vector, contexts(wrong))
    loss = -(nn.functional.logsigmoid(good).mean() + nn.functional.logsigmoid(-bad).mean())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - start:.4f}")

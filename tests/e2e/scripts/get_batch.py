"""No DataLoader: batches are cut out of one tensor, as in many language-model scripts."""

import torch
from fingerprint import seed, show
from torch import nn

seed(3)
TEXT = torch.randint(0, 50, (5000,))


def get_batch(size=8, length=16):
    starts = torch.randint(0, len(TEXT) - length - 1, (size,))
    x = torch.stack([TEXT[s : s + length] for s in starts])
    y = torch.stack([TEXT[s + 1 : s + length + 1] for s in starts])
    return x, y


@torch.no_grad()
def estimate_loss(model):
    model.eval()
    losses = [step_loss(model, *get_batch()).item() for _ in range(4)]
    model.train()
    return sum(losses) / len(losses)


def step_loss(model, x, y):
    logits = model(x)
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())


model = nn.Sequential(nn.Embedding(50, 32), nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 50))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
losses = []
for step in range(60):
    if step % 20 == 0:
        print("estimate", repr(estimate_loss(model)))
    x, y = get_batch()
    loss = step_loss(model, x, y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
show(losses, model)

"""Two loaders asked in turn for the same step, a validation every few steps, and a resumed second phase."""

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

seed(13)
labelled = DataLoader(TensorDataset(torch.randn(64, 8), torch.randn(64, 1)), batch_size=8, shuffle=True)
unlabelled = DataLoader(TensorDataset(torch.randn(64, 8)), batch_size=8, shuffle=True)
held_out = DataLoader(TensorDataset(torch.randn(16, 8), torch.randn(16, 1)), batch_size=4)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters())
losses, step = [], 0
for epoch in range(4):
    for (x, y), (u,) in zip(labelled, unlabelled):
        loss = (model(x) - y).pow(2).mean() + model(u).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        step += 1
        if step % 5 == 0:
            model.eval()
            with torch.no_grad():
                print("held out", repr(sum((model(x) - y).pow(2).mean().item() for x, y in held_out)))
            model.train()
show(losses, model)

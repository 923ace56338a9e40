"""Band gaps of crystals from the spectra of their sites. The matrices are trained by orthogonalised momentum."""

import time

import torch
from muon import Muon
from torch import nn


class Bands(nn.Module):
    def __init__(self, features=256, width=96):
        super().__init__()
        self.embed = nn.Linear(features, width, bias=False)
        self.mix = nn.Linear(width, width, bias=False)
        self.gap = nn.Linear(width, width, bias=False)

    def forward(self, sites):
        hidden = torch.relu(self.embed(sites))
        hidden = hidden + torch.relu(self.mix(hidden))
        return self.gap(hidden).mean(1).square().mean(1)


def crystals(count, sites=128):
    torch.manual_seed(31)
    spectra = torch.randn(count, sites, 256)
    return spectra, spectra[:, :, :32].square().mean((1, 2))


spectra, gaps = crystals(4000)
model = Bands()
optimizer = Muon(model.parameters(), rate=0.01)
BATCH = 16

start = time.perf_counter()
order = torch.randperm(len(spectra))
at, off = 0, 0.0
while at < len(order):
    rows = order[at : at + BATCH]
    loss = (model(spectra[rows]) - gaps[rows]).abs().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    off = 0.98 * off + 0.02 * loss.item()
    at += BATCH
    if at % 800 == 0:
        print(f"{at:6d} crystals, off by {off:.3f} eV")
print(f"loop_seconds={time.perf_counter() - start:.3f}")

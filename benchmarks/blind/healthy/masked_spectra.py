"""A small masked autoencoder on spectra, micro-batches accumulated, gradients clipped."""

import argparse
import time

import torch
from torch import nn


class MaskedSpectra(nn.Module):
    def __init__(self, pieces=32, width=96):
        super().__init__()
        self.embed = nn.Linear(16, width)
        self.place = nn.Parameter(0.02 * torch.randn(pieces, width))
        self.mask = nn.Parameter(torch.zeros(width))
        layer = nn.TransformerEncoderLayer(width, 4, 256, dropout=0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.rebuild = nn.Linear(width, 16)

    def forward(self, spectra, hidden):
        pieces = spectra.unflatten(1, (-1, 16))
        x = torch.where(hidden[..., None], self.mask, self.embed(pieces)) + self.place
        error = (self.rebuild(self.body(x)) - pieces).square().mean(2)
        return (error * hidden).sum() / hidden.sum()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=70)
    parser.add_argument("--micro", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = MaskedSpectra()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    begin = time.perf_counter()
    for step in range(options.steps):
        optimizer.zero_grad()
        for _ in range(options.micro):
            spectra = torch.randn(32, 32, 1).cumsum(1).expand(-1, -1, 16).flatten(1) * 0.1
            loss = model(spectra, torch.rand(32, 32) < 0.6) / options.micro
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            print("step", step, f"{loss.item() * options.micro:.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

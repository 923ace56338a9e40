"""A variational autoencoder with an ELBO on held-out frames."""

import time

import torch
import torch.nn.functional as F
from torch import nn


class VAE(nn.Module):
    def __init__(self, width=32 * 32, hidden=256, latent=16):
        super().__init__()
        self.enc, self.stats = nn.Linear(width, hidden), nn.Linear(hidden, 2 * latent)
        self.dec = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, x):
        mu, logvar = self.stats(F.relu(self.enc(x))).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.dec(z), mu, logvar


def elbo(model, x):
    logits, mu, logvar = model(x)
    divergence = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(1)
    return (F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1) + divergence).mean()


@torch.no_grad()
def validate(model, frames):
    model.eval()
    total = sum(elbo(model, part).item() * len(part) for part in frames.split(512))
    model.train()
    return total / len(frames)


if __name__ == "__main__":
    torch.manual_seed(0)
    train = (torch.rand(12_000, 1024) > 0.7).float()
    held_out = (torch.rand(2_000, 1024) > 0.7).float()
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    best, step = float("inf"), 0
    begin = time.perf_counter()
    for epoch in range(5):
        for rows in torch.randperm(len(train)).split(128):
            loss = elbo(model, train[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % 8 == 0:
                best = min(best, validate(model, held_out[:40]))
        print(f"epoch {epoch}: {loss.item():.2f}, best {best:.2f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")

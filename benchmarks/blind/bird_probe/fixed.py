"""A linear probe on a frozen encoder of bird calls: only the probe is trained."""

import time

import torch
from torch import nn


class Encoder(nn.Module):
    """Stands for a pretrained encoder."""

    def __init__(self, width=384):
        super().__init__()
        self.patches = nn.Conv1d(1, width, 32, stride=32)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(4)
        )

    def forward(self, sound):
        x = self.patches(sound).transpose(1, 2)
        for layer in self.layers:
            x = x + layer(x)
        return x.mean(1)


class Probe(nn.Module):
    def __init__(self, encoder, species=30):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(384, species)

    def forward(self, sound):
        return self.head(self.encoder(sound))


def calls(size):
    species = torch.randint(0, 30, (size,))
    moment = torch.linspace(0, 30, 1024)
    pitch = species[:, None] * 0.5 + 1 + 0.05 * torch.randn(size, 1)
    return torch.sin(pitch * moment)[:, None] + 0.2 * torch.randn(size, 1, 1024), species


def main(steps=50):
    torch.manual_seed(30)
    encoder = Encoder().requires_grad_(False)
    model = Probe(encoder)
    optimizer = torch.optim.Adam(model.head.parameters(), lr=3e-3, fused=True)
    start = time.perf_counter()
    for step in range(steps):
        sound, species = calls(32)
        loss = nn.functional.cross_entropy(model(sound), species)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 30 == 0:
            print(f"probe step {step}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()

"""Patches of cloth squeezed through a codebook of sixty-four textures."""

import time

import torch
import torch.nn.functional as F
from torch import nn

torch._dynamo.config.recompile_limit = 16  # the graphs are small


class Codebook(nn.Module):
    def __init__(self, codes=64, size=24, warmup=200):
        super().__init__()
        self.codes = nn.Parameter(torch.randn(codes, size))
        self.warmup = warmup
        self.calls = 0

    def forward(self, z):
        self.calls += 1  # slowprobe: rule=recompiling
        trust = min(1.0, self.calls / self.warmup)
        distance = self.codes.square().sum(1) - 2 * z @ self.codes.T
        nearest = F.embedding(distance.argmin(1), self.codes)
        penalty = F.mse_loss(nearest, z.detach()) + 0.25 * trust * F.mse_loss(z, nearest.detach())
        return z + trust * (nearest - z).detach(), penalty


class TextureNet(nn.Module):
    def __init__(self, pixels=192, hidden=384, size=24):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, size))
        self.codebook = Codebook(size=size)
        self.decoder = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def forward(self, patches):
        z, penalty = self.codebook(self.encoder(patches))
        return F.mse_loss(self.decoder(z), patches) + penalty


class Weaver:
    def __init__(self, batch_size=512):
        torch.manual_seed(12)
        self.batch_size = batch_size
        self.patches = self.weave(8192)
        self.model = TextureNet()
        self.compiled = torch.compile(self.model, backend="aot_eager")
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)

    @staticmethod
    def weave(count):
        across, down = torch.arange(8.0), torch.arange(8.0)
        pitch = 1 + torch.randint(4, (count, 3, 1, 1))
        return torch.sin(pitch * (across[None, :] + 0.5 * down[:, None])).flatten(1) + 0.1 * torch.randn(count, 192)

    def step(self):
        batch = self.patches[torch.randint(len(self.patches), (self.batch_size,))]
        loss = self.compiled(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def run(self, steps):
        for number in range(steps):
            loss = self.step()
            if number % 100 == 0:
                print(f"{number:4d} {loss.item():.4f}")


if __name__ == "__main__":
    weaver = Weaver()
    weaver.step()  # the first call compiles
    start = time.perf_counter()
    weaver.run(400)
    print(f"loop_seconds={time.perf_counter() - start:.3f}")

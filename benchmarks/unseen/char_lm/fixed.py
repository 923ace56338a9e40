"""A character model with attention, and a running average of its weights for sampling."""

import copy
import math
import time

import torch
import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_a, self.norm_b = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm_a(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.merge(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm_b(x))))


class CharLM(nn.Module):
    def __init__(self, symbols=40, width=48, depth=10, length=24):
        super().__init__()
        self.embed, self.place = nn.Embedding(symbols, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(Layer(width, 4) for _ in range(depth))
        self.out = nn.Linear(width, symbols)

    def forward(self, symbols):
        x = self.embed(symbols) + self.place.weight[: symbols.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


class Average:
    def __init__(self, model, decay=0.995):
        self.model, self.decay = copy.deepcopy(model).requires_grad_(False), decay
        self.live = model
        self.pairs = list(zip(self.model.parameters(), model.parameters()))

    @torch.no_grad()
    def update(self):
        means, latest = zip(*self.pairs)
        torch._foreach_lerp_(means, latest, 1 - self.decay)


def main(steps=200, batch=2):
    torch.manual_seed(0)
    text = (torch.arange(60_000) * 7 % 40 + torch.randint(0, 3, (60_000,))) % 40
    model = CharLM()
    average = Average(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), fused=True)
    begin = time.perf_counter()
    for step in range(steps):
        starts = torch.randint(0, len(text) - 25, (batch,))
        window = text[starts[:, None] + torch.arange(25)]
        loss = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update()
        if step % 100 == 0:
            print(f"step {step}: {loss.item() / math.log(2):.3f} bits")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()

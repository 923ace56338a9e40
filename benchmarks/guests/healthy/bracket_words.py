"""A small transformer learns the next sign of words of nested brackets."""

import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn

SIGNS = 8


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.before(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.between(x))))


class Grammar(nn.Module):
    def __init__(self, length, width=80, layers=3, heads=4):
        super().__init__()
        self.sign, self.place = nn.Embedding(SIGNS, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.read = nn.Linear(width, SIGNS)
        self.register_buffer("places", torch.arange(length))

    def forward(self, signs):
        x = self.sign(signs) + self.place(self.places)
        for layer in self.layers:
            x = layer(x)
        return self.read(x)


def words(count, length, seed):
    """Random walks over a stack of four kinds of brackets."""
    draw = torch.Generator().manual_seed(seed)
    chance = torch.rand(count, length, generator=draw).tolist()
    kind = torch.randint(4, (count, length), generator=draw).tolist()
    out = []
    for chances, kinds in zip(chance, kind):
        stack, word = [], []
        for c, k in zip(chances, kinds):
            if stack and c < 0.5:
                word.append(4 + stack.pop())
            else:
                stack.append(k)
                word.append(k)
        out.append(word)
    return torch.tensor(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=220)
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    torch.manual_seed(0)
    corpus = words(2000, 49, 0)
    net = Grammar(48)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, fused=True)
    start = time.perf_counter()
    for step in range(args.steps):
        word = corpus[torch.randint(len(corpus), (args.batch,))]
        loss = F.cross_entropy(net(word[:, :-1]).flatten(0, 1), word[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 40 == 0:
            print(f"{step:4d} nats {loss.item():.3f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

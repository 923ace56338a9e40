"""Would they come again? Reviews of restaurants, most of them short, are read by two layers of attention."""

import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence


def reviews(count, rng):
    words = []
    for i in range(count):
        length = 96 if i % 500 == 0 else int(torch.randint(88, 97, (), generator=rng))
        words.append(torch.randint(1, 3000, (length,), generator=rng))
    again = torch.tensor([(w % 7 == 0).float().mean() > 0.14 for w in words]).long()
    return words, again


class Block(nn.Module):
    def __init__(self, width, heads=4):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x, seen):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None])
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class Reader(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.words = nn.Embedding(3000, width, padding_idx=0)
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))
        self.head = nn.Linear(width, 2)

    def forward(self, words):
        seen = words != 0
        x = self.words(words)
        for block in self.blocks:
            x = block(x, seen)
        return self.head((x * seen[:, :, None]).sum(1) / seen.sum(1, keepdim=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=1280)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()

    torch.manual_seed(2)
    words, again = reviews(args.reviews, torch.Generator().manual_seed(2))
    table = pad_sequence(words, batch_first=True)
    reader = Reader()
    optimizer = torch.optim.AdamW(reader.parameters(), 1e-3, fused=True)

    start = time.perf_counter()
    for epoch in range(args.epochs):
        right = torch.zeros(())
        for rows in torch.randperm(len(table)).split(args.batch):
            scores = reader(table[rows])
            loss = F.cross_entropy(scores, again[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right += (scores.argmax(1) == again[rows]).sum()
        print(f"epoch {epoch}: {right.item() / len(table):.1%} right")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

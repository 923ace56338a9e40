"""Dates in many spellings are turned into one: an encoder, a decoder, and attention between them."""

import random
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

MONTHS = "january february march april may june july august september october november december".split()
SIGNS = "^ abcdefghijklmnopqrstuvwxyz0123456789-/.,"
NUMBER = {sign: i + 1 for i, sign in enumerate(SIGNS)}
LONG, SHORT = 20, 10


def encode(text, length):
    return [NUMBER[sign] for sign in text] + [0] * (length - len(text))


class Dates(IterableDataset):
    def __init__(self, batches, batch):
        self.batches, self.batch = batches, batch

    def __iter__(self):
        rng = random.Random(40)
        for _ in range(self.batches):
            spelled, plain = [], []
            for _ in range(self.batch):
                day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1900, 2099)
                manner = rng.choice(["{d} {n} {y}", "{n} {d}, {y}", "{d}.{m}.{y}", "{m}/{d}/{y}", "{y} {n} {d}"])
                spelled.append(encode(manner.format(d=day, m=month, n=MONTHS[month - 1], y=year), LONG))
                plain.append(encode(f"{year}-{month:02d}-{day:02d}", SHORT))
            yield torch.tensor(spelled), torch.tensor(plain)


class Speller(nn.Module):
    def __init__(self, size=96):
        super().__init__()
        self.signs = nn.Embedding(len(SIGNS) + 1, size, padding_idx=0)
        self.reader = nn.GRU(size, size, batch_first=True)
        self.writer = nn.GRU(size, size, batch_first=True)
        self.look = nn.MultiheadAttention(size, 4, batch_first=True)
        self.sign = nn.Linear(2 * size, len(SIGNS) + 1)

    def forward(self, spelled, plain):
        read, last = self.reader(self.signs(spelled))
        before = F.pad(plain[:, :-1], (1, 0), value=1)
        written, _ = self.writer(self.signs(before), last)
        seen, _ = self.look(written, read, read, key_padding_mask=spelled == 0, need_weights=False)
        return self.sign(torch.cat([written, seen], 2))


def main():
    torch.manual_seed(0)
    loader = DataLoader(Dates(240, 96), batch_size=None, num_workers=1, prefetch_factor=6)
    model = Speller()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3, fused=True)
    start = time.perf_counter()
    for step, (spelled, plain) in enumerate(loader):
        scores = model(spelled, plain)
        loss = F.cross_entropy(scores.flatten(0, 1), plain.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 60 == 0:
            print(f"{step}: {loss.item():.3f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

"""Cuisines from recipe texts: subwords by a small merge table, averaged and classified, some epochs over all texts."""

import random
import re
import time

import torch
from torch import nn

WORDS = "salt pepper butter garlic ginger soy basil tomato coconut cumin lentil noodle cheese roast simmer".split()


class Subwords:
    """Greedy merges of letters into subwords."""

    def __init__(self, merges=400):
        pieces = {word[i:j] for word in WORDS for i in range(len(word)) for j in range(i + 1, len(word) + 1)}
        self.ids = {piece: number + 1 for number, piece in enumerate(sorted(pieces)[:merges])}
        self.pattern = re.compile(r"[a-z]+|[0-9]")

    def encode(self, text):
        ids = []
        for word in self.pattern.findall(text.lower()):
            begin = 0
            while begin < len(word):
                for end in range(len(word), begin, -1):
                    if word[begin:end] in self.ids:
                        break
                ids.append(self.ids.get(word[begin:end], 0))
                begin = end
        return ids


class Cuisine(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.mean = nn.EmbeddingBag(vocabulary, 256)
        self.kind = nn.Sequential(nn.Linear(256, 768), nn.ReLU(), nn.Linear(768, 384), nn.ReLU(), nn.Linear(384, 9))

    def forward(self, ids, offsets):
        return self.kind(self.mean(ids, offsets))


def recipes(count):
    return [" ".join(random.choices(WORDS, k=random.randint(40, 130))).title() for _ in range(count)]


def main():
    random.seed(1)
    torch.manual_seed(1)
    texts, kinds = recipes(2560), torch.randint(0, 9, (2560,))
    subwords = Subwords()
    tokens = [torch.tensor(subwords.encode(text)) for text in texts]
    model = Cuisine(len(subwords.ids) + 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    started = time.perf_counter()
    for epoch in range(7):
        order = torch.randperm(len(texts))
        for rows in order.split(64):
            encoded = [tokens[row] for row in rows.tolist()]
            offsets = torch.tensor([0] + [len(ids) for ids in encoded[:-1]]).cumsum(0)
            loss = nn.functional.cross_entropy(model(torch.cat(encoded), offsets), kinds[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


if __name__ == "__main__":
    main()

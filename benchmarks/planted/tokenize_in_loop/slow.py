"""Reviews are split into subwords again each time they come up."""

import random
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class SubwordTokenizer:
    def __init__(self):
        self.pieces = {a + b: n for n, (a, b) in enumerate((a, b) for a in "abcdefghij" for b in "abcdefghij")}

    def encode(self, text, length=120):
        ids = []
        for word in text.split():
            while word:
                ids.append(self.pieces.get(word[:2], 0))
                word = word[2:]
        return (ids + [0] * length)[:length]


class Reviews(Dataset):
    def __init__(self, count):
        rng = random.Random(6)
        self.texts = [" ".join("".join(rng.choices("abcdefghij", k=8)) for _ in range(30)) for _ in range(count)]
        self.tokenizer = SubwordTokenizer()

    def __len__(self):
        return len(self.texts)

    def __getitem__(self, index):
        ids = self.tokenizer.encode(self.texts[index])  # slowprobe: rule=tokenize-in-loop
        return torch.tensor(ids), float(len(self.texts[index]))


def main():
    loader = DataLoader(Reviews(6_000), batch_size=100, shuffle=True)
    model = nn.Sequential(nn.EmbeddingBag(101, 32), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, fused=True)
    start = time.perf_counter()
    for _ in range(12):
        for ids, length in loader:
            loss = nn.functional.l1_loss(model(ids).squeeze(1), length.float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()

"""Star ratings of reviews from words: embedding bag and a small head."""

import random
import re
import time
from collections import Counter

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

random.seed(11)
torch.manual_seed(11)

SYLLABLES = ["ba", "ko", "ti", "lum", "er", "sa", "vin", "dra", "mo", "ques"]
LEXICON = ["".join(random.choices(SYLLABLES, k=random.randint(2, 4))) for _ in range(3000)]
PATTERN = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9]")


def words_of(text: str) -> list[str]:
    return [piece for piece in PATTERN.findall(text.lower()) if piece != ","]


def make_review() -> tuple[str, int]:
    stars = random.randint(0, 4)
    words = random.choices(LEXICON[stars * 400 :], k=random.randint(60, 180))
    return ", ".join(words).capitalize() + "!", stars


class Reviews(Dataset):
    def __init__(self, raw, vocabulary):
        self.vocabulary = vocabulary
        self.stars = [stars for _, stars in raw]
        self.codes = [torch.tensor(self.encode(text)) for text, _ in raw]
        self.names = [text[:12] for text, _ in raw]

    def encode(self, text):
        return [self.vocabulary.get(word, 0) for word in words_of(text)]

    def __len__(self):
        return len(self.stars)

    def __getitem__(self, number):
        assert words_of(self.names[number])
        return self.codes[number], self.stars[number]


def as_bags(batch):
    codes = [code for code, _ in batch]
    starts = torch.tensor([0] + [len(code) for code in codes[:-1]]).cumsum(0)
    return torch.cat(codes), starts, torch.tensor([stars for _, stars in batch])


class Rater(nn.Module):
    def __init__(self, size, width=128):
        super().__init__()
        self.bag = nn.EmbeddingBag(size, width)
        self.head = nn.Sequential(nn.Linear(width, 1536), nn.GELU(), nn.Linear(1536, 5))

    def forward(self, codes, starts):
        return self.head(self.bag(codes, starts))


raw = [make_review() for _ in range(3200)]
counts = Counter(word for text, _ in raw for word in words_of(text))
vocabulary = {word: place for place, (word, _) in enumerate(counts.most_common(), 1)}
loader = DataLoader(Reviews(raw, vocabulary), batch_size=128, shuffle=True, collate_fn=as_bags)
rater = Rater(len(vocabulary) + 1)
adam = torch.optim.Adam(rater.parameters(), lr=2e-3, fused=True)

tic = time.perf_counter()
for epoch in range(16):
    right = seen = 0
    for codes, starts, stars in loader:
        scores = rater(codes, starts)
        loss = nn.functional.cross_entropy(scores, stars)
        adam.zero_grad()
        loss.backward()
        adam.step()
        right += (scores.argmax(1) == stars).sum().item()
        seen += len(stars)
    print(f"epoch {epoch}: accuracy {right / seen:.3f}")
print(f"loop_seconds={time.perf_counter() - tic:.4f}")

"""A captioning decoder that runs its cell word by word, with the projection inside the loop."""

import time

import torch
from torch import nn

WORDS, LENGTH, WIDTH = 200, 6, 512


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.cell = nn.GRUCell(WIDTH, WIDTH)
        self.project = nn.Linear(WIDTH, WORDS)
        self.gate = nn.Linear(WIDTH, WIDTH)

    def one_word(self, word, hidden):
        hidden = self.cell(self.embed(word), hidden)
        return self.project(hidden * torch.sigmoid(self.gate(hidden))), hidden

    def forward(self, image, words):
        scores, hidden = [], image
        for position in range(words.shape[1]):
            score, hidden = self.one_word(words[:, position], hidden)
            scores.append(score)
        return torch.stack(scores, dim=1)


def batches(count):
    generator = torch.Generator().manual_seed(4)
    for _ in range(count):
        yield torch.randn(256, WIDTH, generator=generator), torch.randint(WORDS, (256, LENGTH), generator=generator)


decoder = Decoder()
optimizer = torch.optim.AdamW(decoder.parameters(), fused=True)
start = time.perf_counter()
for image, words in batches(30):
    scores = decoder(image, words[:, :-1])
    loss = nn.functional.cross_entropy(scores.flatten(0, 1), words[:, 1:].flatten())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
print(f"loss {loss.item():.3f}")
print(f"loop_seconds={time.perf_counter() - start:.4f}")

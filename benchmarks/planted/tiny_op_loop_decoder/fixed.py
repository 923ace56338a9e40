"""A captioning decoder that runs its cell word by word, with the projection inside the loop."""

import time

import torch
from torch import nn

WORDS, LENGTH, WIDTH = 200, 40, 32


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.cell = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.project = nn.Linear(WIDTH, WORDS)
        self.gate = nn.Linear(WIDTH, WIDTH)

    def forward(self, image, words):
        hidden, _ = self.cell(self.embed(words), image[None])
        return self.project(hidden * torch.sigmoid(self.gate(hidden)))


def batches(count):
    generator = torch.Generator().manual_seed(4)
    for _ in range(count):
        yield torch.randn(16, WIDTH, generator=generator), torch.randint(WORDS, (16, LENGTH), generator=generator)


decoder = Decoder()
optimizer = torch.optim.AdamW(decoder.parameters(), fused=True)
start = time.perf_counter()
for image, words in batches(310):
    scores = decoder(image, words[:, :-1])
    loss = nn.functional.cross_entropy(scores.flatten(0, 1), words[:, 1:].flatten())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
print(f"loss {loss.item():.3f}")
print(f"loop_seconds={time.perf_counter() - start:.4f}")

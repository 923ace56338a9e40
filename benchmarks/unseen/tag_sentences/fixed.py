"""A recurrent tagger of sentences of very different length."""

import time

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

LONGEST, TAGS, VOCABULARY = 220, 9, 2000


class Tagger(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width, padding_idx=0)
        self.rnn = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(2 * width, TAGS)

    def forward(self, words):
        return self.tag(self.rnn(self.embed(words))[0])


def corpus(count):
    lengths = (10 + 110 * torch.rand(count) ** 3).long().tolist()
    lengths[0] = LONGEST
    return [torch.randint(1, VOCABULARY, (length,)) for length in lengths]


def batches(sentences, size):
    order = sorted(range(len(sentences)), key=lambda number: len(sentences[number]))
    groups = [order[first : first + size] for first in range(0, len(order), size)]
    for place in torch.randperm(len(groups)).tolist():
        words = [sentences[number] for number in groups[place]]
        padded = pad_sequence(words, batch_first=True)
        yield padded, torch.where(padded > 0, padded % TAGS, -100)


torch.manual_seed(1)
sentences = corpus(512)
tagger = Tagger()
optimizer = torch.optim.Adam(tagger.parameters(), lr=2e-3, fused=True)
criterion = nn.CrossEntropyLoss(ignore_index=-100)
started = time.perf_counter()
for epoch in range(4):
    for words, tags in batches(sentences, 32):
        scores = tagger(words)
        loss = criterion(scores.flatten(0, 1), tags.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
print(f"loop_seconds={time.perf_counter() - started:.4f}")

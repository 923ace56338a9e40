"""Sequences of unlike length, sorted into batches of alike length by a sampler of their own."""

import random
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler


class AlikeLengths(Sampler):
    def __init__(self, lengths, size):
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        self.groups = [order[first : first + size] for first in range(0, len(order), size)]

    def __iter__(self):
        return iter(random.sample(self.groups, len(self.groups)))

    def __len__(self):
        return len(self.groups)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(400, 64)
        self.lstm = nn.LSTM(64, 96, batch_first=True)
        self.out = nn.Linear(96, 400)

    def forward(self, tokens):
        return self.out(self.lstm(self.embed(tokens))[0])


def collate(sequences):
    padded = pad_sequence(sequences, batch_first=True)
    return padded[:, :-1], padded[:, 1:]


random.seed(0)
torch.manual_seed(0)
sequences = [torch.arange(random.randint(12, 60)) * random.randint(1, 5) % 399 + 1 for _ in range(1500)]
sampler = AlikeLengths([len(sequence) for sequence in sequences], 30)
loader = DataLoader(sequences, batch_sampler=sampler, collate_fn=collate)
model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
begin = time.perf_counter()
for epoch in range(4):
    for given, wanted in loader:
        loss = nn.functional.cross_entropy(model(given).flatten(0, 1), wanted.flatten(), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
print(f"loop_seconds={time.perf_counter() - begin:.4f}")

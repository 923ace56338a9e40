"""nn.LSTM over sequences of letters."""

import time

import torch
from torch import nn


class Letters(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(60, 64), nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 60)

    def forward(self, letters):
        return self.head(self.rnn(self.embed(letters))[0])


torch.manual_seed(2)
text = torch.randint(60, (200_000,))
model = Letters()
optimizer = torch.optim.Adam(model.parameters(), fused=True)
start = time.perf_counter()
for _ in range(200):
    begins = torch.randint(len(text) - 65, (32,))
    window = text[begins[:, None] + torch.arange(65)]
    loss = nn.functional.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - start:.4f}")

"""Is White better? Positions of chess openings, written in the usual letters, are judged by a small network."""

import random
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

PIECES = "PNBRQKpnbrqk"
WORTH = dict(zip(PIECES, (1, 3, 3, 5, 9, 0, -1, -3, -3, -5, -9, 0)))


def position(rng):
    squares = [None] * 64
    for piece in "K" + "k" + "".join(rng.choices("PPPPPNBRQpppppnbrq", k=rng.randint(20, 28))):
        squares[rng.randrange(64)] = piece
    return "/".join("".join(squares[8 * rank + file] or "1" for file in range(8)) for rank in range(8))


def deal(lines):
    letters = np.frombuffer("".join(lines).encode(), np.uint8).reshape(len(lines), -1)
    planes = np.zeros((len(lines), 13, 71), np.float32)
    for place, piece in enumerate(PIECES):
        planes[:, place] = letters == ord(piece)
    worth = planes[:, :12].sum(2) @ np.array(list(WORTH.values()), np.float32)
    return torch.from_numpy(planes), torch.from_numpy(worth)


def judge(width=768):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(923, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
    )


rng = random.Random(13)
torch.manual_seed(13)
book = [position(rng) for _ in range(4096)]
net = judge()
optimizer = torch.optim.AdamW(net.parameters(), 2e-3, fused=True)
batches = DataLoader(book, batch_size=128, shuffle=True, collate_fn=deal)

t0 = time.perf_counter()
for epoch in range(20):
    total = 0.0
    for planes, worth in batches:
        optimizer.zero_grad()
        loss = (net(planes).squeeze(1) - worth).abs().mean()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch + 1}: off by {total / len(batches):.2f} pawns")
print(f"loop_seconds={time.perf_counter() - t0:.3f}")

"""Is White better? Positions of chess openings, written in the usual letters, are judged by a small network."""

import random
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

PIECES = "PNBRQKpnbrqk"
WORTH = dict(zip(PIECES, (1, 3, 3, 5, 9, 0, -1, -3, -3, -5, -9, 0)))
AROUND = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]


def position(rng):
    squares = [None] * 64
    for piece in "K" + "k" + "".join(rng.choices("PPPPPNBRQpppppnbrq", k=rng.randint(20, 28))):
        squares[rng.randrange(64)] = piece
    return "/".join("".join(squares[8 * rank + file] or "1" for file in range(8)) for rank in range(8))


def read_board(line):
    men = {}
    for rank, row in enumerate(line.split("/")):
        file = 0
        for sign in row:
            if sign.isdigit():
                file += int(sign)
            else:
                men[rank, file] = sign
                file += 1
    return men


def encode(line):
    planes = np.zeros((13, 8, 8), np.float32)
    men = read_board(line)
    for (rank, file), piece in men.items():
        planes[PIECES.index(piece), rank, file] = 1
        planes[12, rank, file] = sum((rank + dx, file + dy) in men for dx, dy in AROUND) / 8
    return planes


def deal(lines):
    planes, worth = zip(*lines)
    return torch.from_numpy(np.stack(planes)), torch.tensor(worth, dtype=torch.float32)


def judge(width=192):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(832, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
    )


rng = random.Random(13)
torch.manual_seed(13)
book = [position(rng) for _ in range(4096)]
book = [(encode(line), sum(WORTH.get(sign, 0) for sign in line)) for line in book]
net = judge()
optimizer = torch.optim.AdamW(net.parameters(), 2e-3, fused=True)
batches = DataLoader(book, batch_size=128, shuffle=True, collate_fn=deal)

t0 = time.perf_counter()
for epoch in range(10):
    total = 0.0
    for planes, worth in batches:
        optimizer.zero_grad()
        loss = (net(planes).squeeze(1) - worth).abs().mean()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch + 1}: off by {total / len(batches):.2f} pawns")
print(f"loop_seconds={time.perf_counter() - t0:.3f}")

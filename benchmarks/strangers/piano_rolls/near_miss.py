"""Which of eight composers improvised these bars? Notes are painted onto a roll and a small convnet looks at it."""

import random
import time
from collections import namedtuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

Note = namedtuple("Note", "pitch on off velocity")
PITCHES, TICKS, COMPOSERS = 64, 128, 8
EPOCHS = 4


def improvise(composer, rng):
    home, notes = 5 * composer, []
    for _ in range(rng.randint(100, 140)):
        on = rng.randrange(TICKS - 8)
        pitch = home + rng.choice((0, 3, 4, 7, 12, 16)) + rng.choice((0, 0, 12))
        notes.append(Note(pitch % PITCHES, on, on + rng.randint(1, 8), rng.uniform(0.3, 1.0)))
    return notes


class Improvisations(Dataset):
    def __init__(self, count, seed):
        rng = random.Random(seed)
        self.composers = [rng.randrange(COMPOSERS) for _ in range(count)]
        self.rolls = torch.zeros(count, PITCHES, TICKS)
        for row, composer in enumerate(self.composers):
            for note in improvise(composer, rng):
                self.rolls[row, note.pitch, note.on : note.off] = note.velocity

    def __len__(self):
        return len(self.rolls)

    def __getitem__(self, i):
        return self.rolls[i], self.composers[i]


def paint(batch):
    rolls, composers = zip(*batch)
    return torch.stack(rolls), torch.tensor(composers)


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.early = nn.Conv1d(PITCHES, 80, 5, padding=2)
        self.late = nn.Conv1d(80, 96, 5, padding=2)
        self.head = nn.Linear(96, COMPOSERS)

    def forward(self, roll):
        heard = F.max_pool1d(F.relu(self.early(roll)), 2)
        return self.head(F.relu(self.late(heard)).mean(2))


torch.manual_seed(11)
loader = DataLoader(Improvisations(1440, 5), batch_size=32, shuffle=True, collate_fn=paint)
listener = Listener()
optimizer = torch.optim.Adam(listener.parameters(), 2e-3)

began = time.perf_counter()
for epoch in range(EPOCHS):
    right = 0
    for rolls, composers in loader:
        scores = listener(rolls)
        loss = F.cross_entropy(scores, composers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right += (scores.argmax(1) == composers).sum()
    print(f"epoch {epoch}: {right.item() / len(loader.dataset):.1%} recognised")
print(f"loop_seconds={time.perf_counter() - began:.3f}")

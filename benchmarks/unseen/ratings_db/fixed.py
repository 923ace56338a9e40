"""Two towers that learn who likes what; the features of items lie in a small SQLite database."""

import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

USERS, ITEMS, WIDTH = 400, 900, 48


def create(path: Path) -> None:
    rng = np.random.default_rng(7)
    with sqlite3.connect(path) as base:
        base.execute("create table item (id integer primary key, features blob)")
        rows = [(number, rng.normal(size=WIDTH).astype(np.float32).tobytes()) for number in range(ITEMS)]
        base.executemany("insert into item values (?, ?)", rows)
    base.close()


class Ratings(Dataset):
    def __init__(self, path: Path, count: int):
        self.path = path
        rng = np.random.default_rng(8)
        self.users = rng.integers(0, USERS, count).tolist()
        self.items = rng.integers(0, ITEMS, count).tolist()
        self.base = None

    def __len__(self):
        return len(self.users)

    def features(self, item):
        if self.base is None:
            self.base = sqlite3.connect(self.path)
        blob = self.base.execute("select features from item where id = ?", (item,)).fetchone()[0]
        return np.frombuffer(blob, dtype=np.float32)

    def __getitem__(self, number):
        features = self.features(self.items[number])
        return self.users[number], features, float(features[self.users[number] % WIDTH] > 0)


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(USERS, 256)
        self.user_mlp = nn.Sequential(nn.Linear(256, 768), nn.ReLU(), nn.Linear(768, 256))
        self.item_mlp = nn.Sequential(nn.Linear(WIDTH, 768), nn.ReLU(), nn.Linear(768, 256))

    def forward(self, users, features):
        return (F.normalize(self.user_mlp(self.user(users)), dim=1) * self.item_mlp(features)).sum(1)


def train(path):
    torch.manual_seed(2)
    towers = Towers()
    optimizer = torch.optim.Adam(towers.parameters(), 1e-3, fused=True)
    loader = DataLoader(Ratings(path, 9600), batch_size=192, shuffle=True)
    t0 = time.perf_counter()
    for epoch in range(4):
        losses = []
        for users, features, liked in loader:
            loss = F.binary_cross_entropy_with_logits(towers(users, features), liked.float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch} loss {sum(losses) / len(losses):.4f}")
    return time.perf_counter() - t0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        database = Path(name) / "items.sqlite"
        create(database)
        print(f"loop_seconds={train(database):.4f}")

"""Returns of online orders; the orders are rows of an SQLite file that two workers read."""

import os
import random
import sqlite3
import tempfile
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


def fill(path, orders):
    with sqlite3.connect(path) as database:
        for year in range(16):
            database.execute(
                f"CREATE TABLE archive_{year} (id INTEGER PRIMARY KEY, customer INTEGER, amount REAL, note TEXT)"
            )
            database.execute(f"CREATE INDEX by_customer_{year} ON archive_{year} (customer, amount)")
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, features BLOB, returned INTEGER)")
        rows = ((i, random.randbytes(256), random.randrange(2)) for i in range(orders))
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    database.close()


class Orders(Dataset):
    query = "SELECT features, returned FROM orders WHERE id = ?"

    def __init__(self, path, count):
        self.path, self.count = path, count
        self.database = None

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        if self.database is None:
            self.database = sqlite3.connect(self.path)
        features, returned = self.database.execute(self.query, (number,)).fetchone()
        return torch.frombuffer(bytearray(features), dtype=torch.uint8).float() / 255, returned


def train(path):
    count = 6000
    loader = DataLoader(Orders(path, count), batch_size=50, shuffle=True, num_workers=2, persistent_workers=True)
    net = nn.Sequential(nn.Linear(256, 640), nn.ELU(), nn.Linear(640, 640), nn.ELU(), nn.Linear(640, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    start = time.perf_counter()
    for epoch in range(3):
        for features, returned in loader:
            loss = nn.functional.cross_entropy(net(features), returned)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print("epoch", epoch, f"{loss.item():.4f}")
    return time.perf_counter() - start


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "orders.sqlite")
        fill(path, 6000)
        seconds = train(path)
    print(f"loop_seconds={seconds:.4f}")
